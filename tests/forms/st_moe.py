from tests.forms.work import Case, D, Work, mixture


def form(case: Case) -> Work:
    """Two experts a token, with gates: three matrices of 8 / 3 D hidden units, in whole eights."""
    hidden = 8 * (8 * D // 3 // 8)
    return mixture(case, 2, wide=2 * hidden, hidden=hidden)
