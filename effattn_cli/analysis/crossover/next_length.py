"""Where to measure next to pin down a crossover: bisection in log N, led by what is expected.

Then a few lengths beside it, since it is placed by the line through all that are near.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from effattn_cli.analysis.crossover.crossing import NEAR, meeting

GRAIN = 64  # tokens; lengths are multiples of it
CLOSE = 1.12  # the ratio of the lengths on either side at which the crossover is pinned
EDGE = 0.15  # of the way between two lengths that a guess keeps clear of
ENOUGH = 5  # lengths near a crossover that place it, twice as well as the two beside it


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
    at = meeting(low, measured[low], high, measured[high])
    if high / low <= CLOSE or high - low <= 2 * GRAIN:
        return _beside(at, sorted(measured), first, last)
    edge = (high / low) ** EDGE
    candidate = _rounded(min(max(at, low * edge), high / edge))
    return min(max(candidate, low + GRAIN), high - GRAIN)


def _beside(at: float, measured: Sequence[int], first: int, last: int) -> int | None:
    """The middle of the widest gap between the lengths near the crossover; None: they will do."""
    minimum, maximum = max(at / NEAR, first), min(at * NEAR, last)
    near = [seq for seq in measured if minimum <= seq <= maximum]
    if len(near) >= ENOUGH:
        return None
    _, low, high = max((b / a, a, b) for a, b in pairwise([minimum, *near, maximum]))
    candidate = _rounded(math.sqrt(low * high))
    return candidate if minimum <= candidate <= maximum and candidate not in near else None


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
    guess = _rounded(meeting(low, expected[low], high, expected[high]))
    return min(max(guess, first), last)


def _rounded(seq: float) -> int:
    return max(1, round(seq / GRAIN)) * GRAIN
