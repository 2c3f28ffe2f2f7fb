from math import ceil as up
from math import log2

from tests.forms.work import Case, K, Work, ceil, even, scores


def form(case: Case) -> Work:
    """In each round N C tokens see 2 C by q k and [v, 1], after hashes to 2 N / C buckets.

    A hash of b bits is the nearest of 2^(b - 1) axes and their negatives, of 6 bits at most.
    """
    C, rounds = case.options.bucket_size, case.options.hashes
    bits = up(log2(2 * case.tokens / C))
    hashes = ceil(bits, 6)
    axes = sum(2 ** ((bits + i) // hashes - 1) for i in range(hashes))
    pairs = even(case.tokens, C) * 2 * C
    hashing = scores(case.tokens * axes, learn=0)
    return rounds * (hashing + scores(pairs) + scores(pairs, width=K + 1))
