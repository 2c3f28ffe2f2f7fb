"""How much a cell's latency differs from one process to the next, learnt from the whole sweep.

Three rounds say little about their own spread. So each cell's variance is drawn towards that of the
other cells, the more so the more alike the cells of the sweep are (the moderated t-statistic of
Smyth 2004). Everything here is about logarithms of latencies: 0.05 is about 5 %.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median, variance

from effattn_cli.analyse.median import interval
from effattn_cli.analyse.student import digamma, inverse_trigamma, trigamma

#: The most that medians of processes were seen to differ by (their CV over six processes each); it
#: stands in where nothing of a sweep was measured twice.
USUAL, USUAL_FREEDOM = 0.09, 5.0
#: What no two processes agree better than, but by luck.
LEAST = 1e-3
#: The kernel's times differ by so much between visits that a slope can be seen over its own noise.
APART = 0.1
#: The variance of a shift that is a median, against that of one that is a mean.
ALIKE = 1.1


@dataclass(frozen=True, slots=True)
class Spread:
    """A variance, and the degrees of freedom behind it."""

    variance: float
    freedom: float


def own(sides: Sequence[Sequence[float]]) -> Spread:
    """What the rounds of one cell say of their spread, each side about its own mean."""
    freedom = sum(len(side) - 1 for side in sides)
    means = [sum(side) / len(side) for side in sides]
    total = sum((log - mean) ** 2 for side, mean in zip(sides, means, strict=True) for log in side)
    return Spread(total / freedom if freedom else 0.0, freedom)


def common(spreads: Sequence[Spread]) -> Spread:
    """What the cells have in common; its freedom says how much they are alike."""
    known = [spread for spread in spreads if spread.freedom]
    if not known:
        return Spread(USUAL**2, USUAL_FREEDOM)
    logs = [_unbiased_log(spread) for spread in known]
    if len(known) == 1:
        return Spread(math.exp(logs[0]), 0.0)
    excess = variance(logs) - fmean(trigamma(spread.freedom / 2) for spread in known)
    # Cells cannot teach one of them more than all the others together know.
    most = sum(spread.freedom for spread in known) * (1 - 1 / len(known))
    freedom = min(2 * inverse_trigamma(excess), most) if excess > 0 else most
    bias = digamma(freedom / 2) - math.log(freedom / 2) if excess > 0 else 0.0
    return Spread(math.exp(fmean(logs) + bias), freedom)


def drawn(mine: Spread, prior: Spread) -> Spread:
    """A cell's own spread after a look at the others."""
    freedom = mine.freedom + prior.freedom
    if not freedom:
        return Spread(USUAL**2, USUAL_FREEDOM)
    total = mine.variance * mine.freedom + prior.variance * prior.freedom
    return Spread(max(total / freedom, LEAST**2), freedom)


def shift(old: Sequence[float], new: Sequence[float]) -> float:
    """From old to new, the median of all differences (Hodges and Lehmann).

    One disturbed round of three hardly moves it, and where none is disturbed it is as good as a
    difference of means, unlike a difference of medians, which takes half as many rounds more.
    """
    return median(after - before for after in new for before in old)


def of_shift(old: int, new: int) -> float:
    """The variance of the shift between so many rounds, for a variance of 1 between processes.

    Within 5 % of what normal values show.
    """
    return (1.0 if max(old, new) <= 2 else ALIKE) * (1 / old + 1 / new)


@dataclass(frozen=True, slots=True)
class Pace:
    """How slow the machine was in a sweep: the logarithm of a fixed kernel's time."""

    log: float
    variance: float


def pace(kernels: Iterable[float | None]) -> Pace | None:
    """From the kernel's seconds in each visit of a sweep: their lower quartile.

    A lower clock slows all visits. A neighbour on the same chip slows the kernel in some of them,
    by half or more, and the cells by little: it would move a median as soon as it is there half
    the time. None where no visit knows.
    """
    logs = sorted(math.log(kernel) for kernel in kernels if kernel is not None)
    if not logs:
        return None
    last = len(logs) - 1
    if not last:
        return Pace(logs[0], USUAL**2)
    # As many visits up and down as the quartile of so many is off by: no distribution is assumed.
    reach = math.sqrt(3 / 16 * len(logs))
    low, high = max(0.0, last / 4 - reach), min(float(last), last / 4 + reach)
    rise = (_at(logs, high) - _at(logs, low)) / (high - low)
    return Pace(_at(logs, last / 4), max(rise * reach, LEAST) ** 2)


def _at(ordered: Sequence[float], place: float) -> float:
    """Between two values, in proportion."""
    low = min(int(place), len(ordered) - 2)
    return ordered[low] + (place - low) * (ordered[low + 1] - ordered[low])


def sensitivity(visits: Sequence[Sequence[tuple[float, float]]]) -> float | None:
    """How much of the kernel's slowness in a visit the cell shows: from 0, nothing, to 1, all.

    `visits` are, for each cell, the logarithms of the kernel's time and of the latency. The median
    slope between two visits of a cell (Theil and Sen), which a disturbed visit hardly moves; 0
    where its 95 % interval holds 0. None where too few visits differ to tell.
    """
    slopes = [
        (after[1] - before[1]) / rise
        for cell in visits
        for before, after in combinations(cell, 2)
        if abs(rise := after[0] - before[0]) > APART
    ]
    known = interval(slopes)
    if known is None:
        return None
    return min(1.0, median(slopes)) if known[0] > 0 else 0.0


def _unbiased_log(spread: Spread) -> float:
    half = spread.freedom / 2
    return math.log(max(spread.variance, LEAST**2)) - digamma(half) + math.log(half)
