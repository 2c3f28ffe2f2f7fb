from tests.forms.work import Case, Work, at_least, attention, window


def form(case: Case) -> Work:
    """The last W rows, and an entry for every full window of R tokens.

    A window is scored in two blocks, its own and the one before: in all 3 W / 2.
    """
    W, R = case.options.window, case.options.ratio
    entries = sum((t + 1) // R for t in range(case.tokens))
    return at_least(attention(window(case.tokens, W - 1, 0) + entries), 1.6)
