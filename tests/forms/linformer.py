from tests.forms.work import SOFTMAX, Case, D, H, Work, attention, product


def form(case: Case) -> Work:
    """Two mixtures of N keys and values to R, then R keys a query."""
    N, R = case.tokens, case.options.rank
    return 2 * product(R, N, D) + attention(N * R)


def elementwise(case: Case) -> float:
    """The softmax over R mixtures."""
    return SOFTMAX * H * case.tokens * case.options.rank
