"""How much a reading differs from one process to the next, learnt from all cells of a sweep.

Three runs say little about their own variance. So each cell's variance is shrunken towards that of
the other cells, the more so the more alike the cells are (the moderated t-statistic of Smyth 2004).
Everything here is about logarithms: 0.05 is about 5 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median, quantiles, variance

from effattn_cli.stats.median import interval
from effattn_cli.stats.student_t import digamma, inverse_trigamma, trigamma

#: The most that medians of processes were seen to differ by (their CV over six processes each); it
#: stands in where nothing was measured twice.
USUAL, USUAL_DOF = 0.09, 5.0
#: What no two processes agree better than, but by luck.
LEAST = 1e-3
#: The kernel's times differ by so much between runs that a slope can be seen over its own noise.
APART = 0.2
#: The variance of a shift that is a median, against that of one that is a mean.
MEDIAN_OF_SHIFTS = 1.1


@dataclass(frozen=True, slots=True)
class Variance:
    """A variance, and the degrees of freedom behind it."""

    value: float
    dof: float


USUAL_VARIANCE = Variance(USUAL**2, USUAL_DOF)


def own(sides: Sequence[Sequence[float]]) -> Variance:
    """What the runs of one cell say of their variance, each side about its own mean."""
    dof = sum(len(side) - 1 for side in sides)
    total = 0.0
    for side in sides:
        mean = sum(side) / len(side)
        total += sum((log - mean) ** 2 for log in side)
    return Variance(total / dof if dof else 0.0, dof)


def prior(variances: Sequence[Variance]) -> Variance:
    """What the cells have in common; its degrees of freedom say how much they are alike."""
    estimated = [one for one in variances if one.dof]
    if not estimated:
        return USUAL_VARIANCE
    logs = [_unbiased_log(one) for one in estimated]
    if len(estimated) == 1:
        return Variance(math.exp(logs[0]), 0.0)
    excess = variance(logs) - fmean(trigamma(one.dof / 2) for one in estimated)
    # Cells cannot teach one of them more than all the others together know.
    max_dof = sum(one.dof for one in estimated) * (1 - 1 / len(estimated))
    dof = min(2 * inverse_trigamma(excess), max_dof) if excess > 0 else max_dof
    bias = digamma(dof / 2) - math.log(dof / 2) if excess > 0 else 0.0
    return Variance(math.exp(fmean(logs) + bias), dof)


def shrunken(mine: Variance, common: Variance) -> Variance:
    """A cell's own variance after a look at the others."""
    dof = mine.dof + common.dof
    if not dof:
        return USUAL_VARIANCE
    total = mine.value * mine.dof + common.value * common.dof
    return Variance(max(total / dof, LEAST**2), dof)


def shift(old: Sequence[float], new: Sequence[float]) -> float:
    """From old to new, the median of all differences (Hodges and Lehmann).

    One disturbed run of three hardly moves it, and where none is disturbed it is as good as a
    difference of means, unlike a difference of medians, which takes half as many runs more.
    """
    return median(after - before for after in new for before in old)


def factor_of_shift(old: int, new: int) -> float:
    """The variance of the shift between so many runs, for a variance of 1 between processes.

    Within 5 % of what normal values show.
    """
    return (1.0 if max(old, new) <= 2 else MEDIAN_OF_SHIFTS) * (1 / old + 1 / new)


def factor_of_median(number: int) -> float:
    """The variance of the median of so many runs, at most, for a variance of 1 between them."""
    return (1.0 if number <= 2 else math.pi / 2) / number


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How much of a reference kernel's slowness cells show: from 0, nothing, to 1, all."""

    slope: float
    error: float  # its standard deviation, from cell to cell


#: Anything from nothing to all. Small light cells follow a processor's clock wholly; where the
#: kernel was 45 % slower, large products, which run below that clock, were 4 % slower.
UNKNOWN = Sensitivity(0.5, 0.29)


def sensitivity(cells: Sequence[Sequence[tuple[float, float]]]) -> Sensitivity | None:
    """What the runs of a sweep show of it; None where too few differ to tell.

    `cells` are, for each run of each cell, the logarithms of the kernel's time and of the latency.
    The median slope between two runs of a cell (Theil and Sen), which a disturbed run hardly moves;
    0 where its 95 % interval holds 0.
    """
    slopes = []
    for runs in cells:
        for before, after in combinations(runs, 2):
            rise = after[0] - before[0]
            if abs(rise) > APART:
                slopes.append((after[1] - before[1]) / rise)
    ends = interval(slopes)
    if ends is None:
        return None
    low, _, high = quantiles(slopes, n=4)
    slope = min(1.0, median(slopes)) if ends[0] > 0 else 0.0
    return Sensitivity(slope, min((high - low) / 1.35, UNKNOWN.error))


def _unbiased_log(one: Variance) -> float:
    half = one.dof / 2
    return math.log(max(one.value, LEAST**2)) - digamma(half) + math.log(half)
