from tests.forms.work import Case, Work, attention, ceil, triangle

OPTIONS = {"width": 48}


def form(case: Case) -> Work:
    """Rows of W, then columns; causal: whole rows, columns so far, rows so far."""
    W = case.options.width
    rows = ceil(case.tokens, W)
    if not case.causal:
        return attention(rows * W**2 + W * rows**2)
    return attention((rows - 1) * W**2 + W * triangle(rows - 1) + rows * triangle(W))
