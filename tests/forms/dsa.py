from tests.forms.work import Case, Work, at_least, attention, product, triangle


def form(case: Case) -> Work:
    """All pairs in order until there is something to choose, then `top` for each query.

    To choose, the heads of the index score all tokens before, each a product and a weight.
    """
    N, top = case.tokens, case.options.top
    whole = triangle(min(N, top))
    scored = triangle(N) - whole
    each = case.options.index_heads * (case.options.index_width + 1)
    return at_least(attention(whole + max(0, N - top) * top) + product(scored, each, 1, learn=0))
