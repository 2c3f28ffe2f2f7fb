from tests.forms.work import Case, Work, at_least, attention, triangle


def form(case: Case) -> Work:
    """Each block up to the query, and the M tokens before it."""
    block, M, N = case.options.block, case.options.memory, case.tokens
    starts = range(0, N, block)
    widths = [min(block, N - start) for start in starts]
    seen = sum(triangle(C) + C * min(M, at) for C, at in zip(widths, starts, strict=True))
    return at_least(attention(seen))
