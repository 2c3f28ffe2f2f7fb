from tests.forms.work import Case, H, Work, at_least, attention, product


def form(case: Case) -> Work:
    """Keys up to itself in a query's block, and those of the blocks that it picks before.

    Where there are more than it picks, the index head of each of two kv heads scores all their
    tokens.
    """
    C, top = case.options.block, case.options.top
    positions = range(case.tokens)
    seen = sum(t % C + 1 + min(t // C, top - 1) * C for t in positions)
    scored = sum(t // C * C for t in positions if t // C >= top)
    index = product(scored, H // 4 * case.options.index_width, 1, learn=0)
    return at_least(attention(seen) + index)
