from tests.forms.work import Case, D, Work, at_least, attention, ceil, product, scores


def form(case: Case) -> Work:
    """N / 2 pooled queries see N keys, by content and by their distances."""
    N, queries = case.tokens, ceil(case.tokens, 2)
    r = product(N + 2 * queries, D, D, learn=1)
    return r + at_least(scores(queries * N)) + attention(queries * N, mask_learns=True)
