from tests.forms.work import Case, D, Work, cut_up, product, relative_attention


def form(case: Case) -> Work:
    """So too, and C compressed tokens behind these; no gradient reaches the convolutions."""
    options = case.options
    L, M, C, ratio = options.segment, options.memory, options.compressed, options.compression
    lengths = cut_up(case.tokens, L)
    work = product(M + C + L + 1, D, D, learn=1)
    for i, length in enumerate(lengths):
        work += relative_attention(length, min(i * L, M) + min(max(0, i * L - M) // ratio, C))
        if i * L > M:  # a segment has left the memory
            work += 2 * product(L // ratio, ratio * D, D, learn=0)
    return work
