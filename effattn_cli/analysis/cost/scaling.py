"""Orders of growth: what "N log N" on a card means between two lengths."""

import math
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct


class Scaling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exponents of the tokens N that were counted."""

    flops: float
    memory: float


def exponent(order: str, low: int, high: int) -> float:
    """The exponent of N that `order` amounts to between the lengths `low` and `high`.

    An order is a product of factors joined by spaces: N, N^2, N^1.5, log N, sqrt N, N/c; any other
    word is a constant. Of a sum, the term that grows most counts.

    >>> exponent("N k", 4096, 16384)
    1.0
    >>> round(exponent("N log N", 4096, 16384), 2)
    1.11
    >>> exponent("N/c", 4096, 16384)
    1.0
    """
    return max(_exponent(term.split(), low, high) for term in order.split(" + "))


def _exponent(factors: list[str], low: int, high: int) -> float:
    total, words = 0.0, iter(factors)
    for word in words:
        if word in {"log", "sqrt"}:
            inner = _exponent([next(words, "")], low, high)
            logs = math.log(math.log(high) / math.log(low)) / math.log(high / low)
            total += inner / 2 if word == "sqrt" else logs * (inner > 0)
        else:
            above, _, below = word.partition("/")
            total += _power_of_n(above) - _power_of_n(below)
    return total


def _power_of_n(word: str) -> float:
    """1 of N, 2 of N^2, 0 of any constant."""
    power = re.fullmatch(r"N(?:\^([0-9]+(?:\.[0-9]+)?))?", word)
    return float(power[1] or 1) if power else 0.0


def measured_exponent(at: Mapping[int, float]) -> float:
    """The exponent between the shortest and the longest length of `at` (length -> amount)."""
    low, high = min(at), max(at)
    return math.log(at[high] / at[low]) / math.log(high / low)


#: Nothing grows faster; two lengths side by side whose values differ widely are another matter.
STEEPEST = 16.0

Points = Sequence[tuple[int, float]]  # length and amount, neither 0


def carried(points: Points, seq: int) -> float:
    """An amount without noise, as a counted cost is, at a length beyond the last of `points`.

    As a power through the last two, or as a parabola through the last three: whichever, from the
    points before, comes nearer to the last one.
    """
    if len(points) < 4:
        return _power(points, seq)
    *before, (length, amount) = points
    off = [abs(math.log(shape(before, length) / amount)) for shape in (_power, _parabola)]
    return (_power if off[0] <= off[1] else _parabola)(points, seq)


def _power(points: Points, seq: int) -> float:
    high, large = points[-1]
    return large * (seq / high) ** power_between(*points[-2:])


def power_between(first: tuple[int, float], second: tuple[int, float]) -> float:
    """The exponent of N between two points, at most `STEEPEST` either way."""
    (low, small), (high, large) = first, second
    exponent = math.log(large / small) / math.log(high / low)
    return min(max(exponent, -STEEPEST), STEEPEST)


def _parabola(points: Points, seq: int) -> float:
    """At least the last amount: no cost falls with the length."""
    (first, a), (second, b), (third, c) = points[-3:]
    slope, before = (c - b) / (third - second), (b - a) / (second - first)
    bend = (slope - before) / (third - first)
    return max(c, c + slope * (seq - third) + bend * (seq - third) * (seq - second))
