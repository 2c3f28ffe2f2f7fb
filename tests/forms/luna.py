from tests.forms.work import CHUNKED, Case, D, Work, at_least, attention, product, scores


def form(case: Case) -> Work:
    """L queries read all and are read; causal, two linear attentions, over v and over w."""
    N, L = case.tokens, case.options.length
    if not case.causal:
        return attention(L * N) + product(L, D, D) + attention(N * L)
    return at_least(scores(N * L) + 3 * scores(N * L), slack=CHUNKED)
