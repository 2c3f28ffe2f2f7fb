from tests.forms.work import Case, Work, at_least, attention, window


def form(case: Case) -> Work:
    """The last W keys, or W / 2 on either side."""
    W = case.options.window
    before, after = (W - 1, 0) if case.causal else (W // 2, W // 2)
    return at_least(attention(window(case.tokens, before, after)))
