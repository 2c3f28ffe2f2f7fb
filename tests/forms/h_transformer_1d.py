from itertools import pairwise

from tests.forms.work import Case, Work, at_least, attention, cut_up, triangle


def form(case: Case) -> Work:
    """Own block and those beside it; then of each level three quarters of those beside it."""
    N, C = case.tokens, case.options.rank
    blocks = cut_up(N, C)
    if case.causal:
        pairs = sum(map(triangle, blocks)) + max(0, N - C) * C
    else:
        pairs = sum(size**2 for size in blocks)
        pairs += 2 * sum(a * b for a, b in pairwise(blocks))
    size = 2 * C
    while size < N:
        # Of the queries with a block before theirs, those in its first half see half of it.
        groups = C if not case.causal else size
        late = [min(size, N - at) for at in range(size, N, size)]
        seen = sum(min(n, size // 2) * C // 2 + max(0, n - size // 2) * C for n in late)
        pairs += seen if case.causal else 2 * seen * groups // size
        size *= 2
    return at_least(attention(pairs))
