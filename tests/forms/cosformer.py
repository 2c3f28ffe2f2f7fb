from tests.forms.work import Case, K, Work, linear


def form(case: Case) -> Work:
    """Two features a channel, which no product makes."""
    return linear(case, 2 * K)
