from tests.forms.work import Case, Work, attention


def form(case: Case) -> Work:
    """Windows of W after a short one of W / 2, with biases that learn."""
    W = case.options.window
    short = W // 2
    whole, rest = divmod(case.tokens - short, W)
    return attention(short**2 + whole * W**2 + rest**2, mask_learns=True)
