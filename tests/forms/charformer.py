from math import lcm

from tests.forms.work import Case, D, Work, even, product


def form(case: Case) -> Work:
    """A score a character; each token a sum over a period of block sizes, made as a matrix.

    To make it, ones tell M times over who is in a block: of what counts, of scores, of shares.
    """
    M, S = case.options.block, case.options.downsample
    period = lcm(*range(1, M + 1))
    rows = even(case.tokens, period)
    blocks = product(rows, period, M, learn=0) + 2 * product(rows, period, M, learn=1)
    return product(case.tokens, D, 1) + blocks + product(rows // S, period, D)
