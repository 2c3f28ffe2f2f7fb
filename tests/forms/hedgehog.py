from tests.forms.work import Case, H, K, Work, linear, product


def form(case: Case) -> Work:
    """A learned K x K map a head for q and one for k, of each two features a number."""
    return 2 * H * product(case.tokens, K, K) + linear(case, 2 * K)
