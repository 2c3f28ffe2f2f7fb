from tests.forms.work import Case, D, Work, cut_up, product, relative_attention


def form(case: Case) -> Work:
    """Segments of L see up to M tokens before them; r is projected for each distance."""
    L, M = case.options.segment, case.options.memory
    work = product(M + L + 1, D, D, learn=1)
    for i, length in enumerate(cut_up(case.tokens, L)):
        work += relative_attention(length, min(i * L, M))
    return work
