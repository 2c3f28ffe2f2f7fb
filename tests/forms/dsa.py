from tests.forms.work import Case, Work, at_least, attention, product, triangle


def form(case: Case) -> Work:
    """All pairs in order until there is something to choose, then `top` for each query, and those
    behind the last full pool.

    To choose, the heads of the index score the keys of all pools before, each a product and a
    weight.
    """
    N, top, pool = case.tokens, case.options.top, case.options.pool
    early = min(N, top + pool - 1)
    chosen = sum(top + (t + 1) % pool for t in range(early, N))
    scored = sum((t + 1) // pool for t in range(early, N))
    each = case.options.index_heads * (case.options.index_width + 1)
    return at_least(attention(triangle(early) + chosen) + product(scored, each, 1, learn=0))
