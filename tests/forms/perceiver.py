from tests.forms.work import Case, D, Work, attention, product, triangle


def form(case: Case) -> Work:
    """M latents read all, go through layers of 6 M D^2 of their own, and are read by all.

    Causal: the latents are the last M tokens, and the output too.
    """
    N, M = case.tokens, case.options.latents
    square = product(M, D, D)
    layer = 6 * square + attention(triangle(M) if case.causal else M * M)
    work = 3 * square + case.options.layers * layer  # what was read, and a feed-forward on it
    if case.causal:
        return work + attention(M * N)
    return work + attention(M * N) + 3 * square + attention(N * M)
