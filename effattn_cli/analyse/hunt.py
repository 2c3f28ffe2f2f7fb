"""Where to measure next to pin down a crossover: bisection in log N, led by what is expected."""

import math
from collections.abc import Mapping

GRAIN = 64  # tokens; lengths are multiples of it
CLOSE = 1.12  # the ratio of the lengths on either side at which the crossover is pinned
EDGE = 0.15  # of the way between two lengths that a guess keeps clear of


def next_length(
    measured: Mapping[int, float], expected: Mapping[int, float], first: int, last: int
) -> int | None:
    """The next length between `first` and `last` to measure; None where the answer is found.

    Both mappings hold how many times better than the baseline the variant is, by length:
    `measured` where that is known, `expected` where it is worked out from counted costs.
    """
    if not measured:
        return _guess(expected, first, last)
    worse = [seq for seq, ratio in measured.items() if ratio <= 1]
    low = max(worse, default=None)
    better = [seq for seq in measured if low is None or seq > low]
    high = min(better, default=None)
    if high is None:
        assert low is not None
        further = max(_guess(expected, first, last), 2 * low)
        return min(further, last) if low < last else None
    if low is None:
        nearer = min(_guess(expected, first, last), high // 2)
        return max(nearer, first) if high > first else None
    return _between(low, measured[low], high, measured[high])


def _between(low: int, worse: float, high: int, better: float) -> int | None:
    """Where the straight line on logarithmic axes passes 1, not too near to either end."""
    if high / low <= CLOSE or high - low <= 2 * GRAIN:
        return None
    share = math.log(worse) / (math.log(worse) - math.log(better))
    share = min(max(share, EDGE), 1 - EDGE)
    found = _rounded(low * (high / low) ** share)
    return min(max(found, low + GRAIN), high - GRAIN)


def _guess(expected: Mapping[int, float], first: int, last: int) -> int:
    """The length from which on it is expected to be better; the last if it never is."""
    seqs = sorted(expected)
    ahead = len(seqs)
    while ahead and expected[seqs[ahead - 1]] > 1:
        ahead -= 1
    if ahead == len(seqs):
        return last
    if ahead == 0:
        return first
    low, high = seqs[ahead - 1], seqs[ahead]
    below, above = math.log(expected[low]), math.log(expected[high])
    guess = _rounded(low * (high / low) ** (below / (below - above)))
    return min(max(guess, first), last)


def _rounded(seq: float) -> int:
    return max(1, round(seq / GRAIN)) * GRAIN
