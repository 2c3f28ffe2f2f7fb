from tests.forms.work import Case, D, Work, product


def form(case: Case) -> Work:
    """A narrow MLP gives each token S weights, by which S tokens are sums of all."""
    N, narrow, S = case.tokens, case.options.bottleneck, case.options.learned
    return product(N, D, narrow) + product(N, narrow, S) + product(S, N, D)
