"""Orders of growth: what "N log N" on a card means between two lengths."""

import math
from collections.abc import Mapping


def exponent(order: str, low: int, high: int) -> float:
    """The exponent of N that `order` amounts to between the lengths `low` and `high`.

    An order is a product of factors joined by spaces: N, N^2, N^1.5, log N, sqrt N, N/c; any other
    word is a constant. Of a sum, the term that grows most counts.

    >>> exponent("N k", 4096, 16384)
    1.0
    >>> round(exponent("N log N", 4096, 16384), 2)
    1.11
    """
    return max(_exponent(term.split(), low, high) for term in order.split(" + "))


def _exponent(factors: list[str], low: int, high: int) -> float:
    total, words = 0.0, iter(factors)
    for word in words:
        if word in {"log", "sqrt"}:
            inner = _exponent([next(words, "")], low, high)
            logs = math.log(math.log(high) / math.log(low)) / math.log(high / low)
            total += inner / 2 if word == "sqrt" else logs * (inner > 0)
        elif word == "N":
            total += 1
        elif word.startswith("N^"):
            total += float(word[2:])
    return total


def measured_exponent(at: Mapping[int, float]) -> float:
    """The exponent between the shortest and the longest length of `at` (length -> amount)."""
    low, high = min(at), max(at)
    return math.log(at[high] / at[low]) / math.log(high / low)
