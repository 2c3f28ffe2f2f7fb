from tests.forms.work import Case, Work, at_least, attention, scores


def form(case: Case) -> Work:
    """Keys up to itself in a query's block, and those of the blocks that it picks before.

    Where there are more than it picks, it is scored with the mean of each.
    """
    C, top = case.options.block, case.options.top
    positions = range(case.tokens)
    seen = sum(t % C + 1 + min(t // C, top - 1) * C for t in positions)
    means = sum(t // C for t in positions if t // C >= top)
    return at_least(attention(seen) + scores(means, learn=0))
