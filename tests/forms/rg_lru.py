from tests.forms.work import Case, H, K, Work, product


def form(case: Case) -> Work:
    """Two gates, each a product of a head's channels with a matrix; the rest is no product."""
    return 2 * H * product(case.tokens, K, K)
