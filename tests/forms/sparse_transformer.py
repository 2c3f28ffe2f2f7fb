from tests.forms.work import Case, Work, at_least, attention, triangle

OPTIONS = {"stride": 64}


def form(case: Case) -> Work:
    """Each block of L up to the query, and C summaries of each block before it."""
    N, L, C = case.tokens, case.options.stride, case.options.summary
    blocks, rest = divmod(N, L)
    seen = blocks * triangle(L) + triangle(rest)
    seen += triangle(blocks - 1) * L * C + rest * blocks * C
    return at_least(attention(seen))
