from tests.forms.work import Case, D, Work, at_least, attention, product, scores


def form(case: Case) -> Work:
    """L queries read all and are read; causal, two linear attentions, over v and over w.

    So few features are summed that the pairs within a chunk are most of the work.
    """
    N, L = case.tokens, case.options.length
    if not case.causal:
        return attention(L * N) + product(L, D, D) + attention(N * L)
    return at_least(scores(N * L) + 3 * scores(N * L), slack=3.6)
