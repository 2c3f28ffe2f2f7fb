from tests.forms.work import Case, H, K, Work, linear, product


def form(case: Case) -> Work:
    """F fixed directions for q, and for k with its square as one channel more."""
    N, F = case.tokens, case.options.features
    made = H * product(N, K, F, learn=1) + H * product(N, K + 1, F, learn=1)
    return made + linear(case, F)
