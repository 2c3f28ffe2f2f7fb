from tests.forms.work import Case, D, H, K, Work, at_least, attention, product, scores


def form(case: Case) -> Work:
    """M landmarks read and are read; 4 products a step to the inverse; a filter over the values.

    The gradient of the filter takes no more than for each token all that W shifts of a block meet.
    """
    N, M, W = case.tokens, case.options.landmarks, case.options.kernel
    inverse = scores(M * M) + 4 * case.options.iterations * H * product(M, M, M)
    summary = attention(M * N) + H * product(M, M, K)
    filtered = product(N * D, W, 1, learn=1)
    if case.train:
        filtered = at_least(filtered)
    return inverse + summary + attention(N * M) + filtered
