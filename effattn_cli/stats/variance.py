"""How much a cell's latency differs from one process to the next, learnt from the whole sweep.

Three rounds say little about their own spread. So each cell's variance is drawn towards that of the
other cells, the more so the more alike the cells of the sweep are (the moderated t-statistic of
Smyth 2004). Everything here is about logarithms of latencies: 0.05 is about 5 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median, quantiles, variance

from effattn_cli.stats.median import interval
from effattn_cli.stats.student_t import digamma, inverse_trigamma, trigamma

#: The most that medians of processes were seen to differ by (their CV over six processes each); it
#: stands in where nothing of a sweep was measured twice.
USUAL, USUAL_FREEDOM = 0.09, 5.0
#: What no two processes agree better than, but by luck.
LEAST = 1e-3
#: The kernel's times differ by so much between visits that a slope can be seen over its own noise.
APART = 0.2
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
class Sensitivity:
    """How much of a fixed kernel's slowness cells show: from 0, nothing, to 1, all."""

    slope: float
    error: float  # its standard deviation, from cell to cell


#: Anything from nothing to all. Small light cells follow a processor's clock wholly; where the
#: kernel was 45 % slower, large products, which run below that clock, were 4 % slower.
UNKNOWN = Sensitivity(0.5, 0.29)


def sensitivity(visits: Sequence[Sequence[tuple[float, float]]]) -> Sensitivity | None:
    """What the visits of a sweep show of it; None where too few differ to tell.

    `visits` are, for each cell, the logarithms of the kernel's time and of the latency. The median
    slope between two visits of a cell (Theil and Sen), which a disturbed visit hardly moves; 0
    where its 95 % interval holds 0.
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
    low, _, high = quantiles(slopes, n=4)
    slope = min(1.0, median(slopes)) if known[0] > 0 else 0.0
    return Sensitivity(slope, min((high - low) / 1.35, UNKNOWN.error))


def _unbiased_log(spread: Spread) -> float:
    half = spread.freedom / 2
    return math.log(max(spread.variance, LEAST**2)) - digamma(half) + math.log(half)
