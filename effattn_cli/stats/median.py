"""How well a median is known."""

import math
from collections.abc import Sequence
from functools import cache
from statistics import median

MANY = 500


def interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """A 95 % interval of the median, from the order statistics; no distribution is assumed.

    The k-th smallest and the k-th largest sample enclose the median unless more than n - k of n
    fair coins agree. Fewer than six samples cannot say anything with 95 %: None.
    """
    ordered, number = sorted(samples), len(samples)
    if number < 6:
        return None
    k = _rank(number)
    return ordered[k - 1], ordered[number - k]


@cache
def _rank(number: int) -> int:
    if number > MANY:  # the normal limit; the sum would be of numbers with thousands of digits
        return int((number - 1.96 * math.sqrt(number)) / 2)
    tail, k = 1, 0  # tail / 2^n is the chance that at most k of n coins show heads
    while 40 * tail <= 2**number:
        k += 1
        tail += math.comb(number, k)
    return k


def half_width(samples: Sequence[float]) -> float | None:
    """Half the interval, relative to the median."""
    bounds = interval(samples)
    return None if bounds is None else (bounds[1] - bounds[0]) / 2 / median(samples)
