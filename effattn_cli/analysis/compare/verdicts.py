"""Verdicts on changes: which of many stand out from their noise, and which surely do not matter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from effattn_cli.stats.student_t import t_ppf, t_sf
from effattn_cli.stats.variance import Variance, factor_of_shift

Verdict = Literal["better", "worse", "same", "unclear"]

ALPHA = 0.05  # the false discovery rate, and what a 95 % interval leaves out
POWER = 0.84  # normal quantile of four in five: the probability that the rounds advised decide
MAX_ROUNDS = 1000
LARGEST_LOG = 700.0  # its exponential is a number yet


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """From the old value to the new one."""

    old: float
    new: float
    ratio: float  # corrected for the machine's own speed where that is known
    low: float
    high: float  # 95 % interval of the ratio; counts are exact
    verdict: Verdict
    more_rounds: int = 0  # on each side, about what would decide; 0: it is clear, or none would


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What is tested of one reading, or of a mean of several: a difference of logarithms."""

    old: float
    new: float
    shift: float
    variance: Variance  # between processes
    factor: float  # variance of the shift for a variance of 1 between processes
    shared: float = 0.0  # variance that all trials have in common: of the machine's own speed
    cells: int = 1
    identical: bool = False  # one and the same measurement on both sides

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.variance.value * self.factor + self.shared)

    @property
    def p_value(self) -> float:
        """Of a two-sided test for a shift; 1 above `ALPHA`, where the exact value is not needed."""
        t = abs(self.shift) / self.standard_error
        if self.identical or t < t_ppf(ALPHA, self.variance.dof):
            return 1.0
        return t_sf(t, self.variance.dof)

    def interval(self) -> tuple[float, float]:
        half = 0.0 if self.identical else t_ppf(ALPHA, self.variance.dof) * self.standard_error
        return self.shift - half, self.shift + half

    def minimum_detectable_effect(self, level: float) -> float:
        """The relative change that would stand out four times in five."""
        return _exp((t_ppf(level, self.variance.dof) + POWER) * self.standard_error) - 1


def judged(
    trials: Sequence[Trial], threshold: float, *, higher_is_better: bool = False
) -> list[Change]:
    """A verdict each; which of them stand out is decided over all together."""
    bound = math.log1p(threshold)
    number = benjamini_hochberg([trial.p_value for trial in trials])
    level, last = level_of(trials), number * ALPHA / max(1, len(trials))
    changes = []
    for trial in trials:
        low, high = trial.interval()
        verdict: Verdict = "unclear"
        if trial.p_value <= last and abs(trial.shift) >= bound:
            verdict = "better" if (trial.shift > 0) == higher_is_better else "worse"
        elif -bound <= low and high <= bound:
            verdict = "same"
        changes.append(
            Change(
                old=trial.old,
                new=trial.new,
                ratio=_exp(trial.shift),
                low=_exp(low),
                high=_exp(high),
                verdict=verdict,
                more_rounds=_more_rounds(trial, bound, level) if verdict == "unclear" else 0,
            )
        )
    return changes


def _exp(log: float) -> float:
    return math.exp(log) if log < LARGEST_LOG else math.inf


def benjamini_hochberg(p_values: Sequence[float]) -> int:
    """How many of the smallest p-values stand out at a false discovery rate of `ALPHA`."""
    number = 0
    for rank, p_value in enumerate(sorted(p_values), 1):
        if p_value <= rank * ALPHA / len(p_values):
            number = rank
    return number


def level_of(trials: Sequence[Trial]) -> float:
    """The p-value below which one more cell would stand out."""
    number = benjamini_hochberg([trial.p_value for trial in trials])
    return min(number + 1, len(trials)) * ALPHA / max(1, len(trials))


def _more_rounds(trial: Trial, bound: float, level: float) -> int:
    """Rounds to add on each side, so that a shift like this one would be decided.

    0 where what is not known of the machine's own speed forbids it: rounds do not tell that.
    """
    size = abs(trial.shift)
    apart = size >= bound
    room = max(size if apart else bound - size, 1e-9)
    single = factor_of_shift(3, 3) * 3  # the factor of a single run a side, among several
    present = single / trial.factor
    normal = t_ppf(level if apart else ALPHA, math.inf)
    wanted, times = present, normal
    for _ in range(2):  # the second time with the degrees of freedom that so many would give
        left = (room / (times + POWER)) ** 2 - trial.shared
        if left <= 0:
            return 0
        wanted = single * trial.variance.value / left
        dof = trial.variance.dof + 2 * max(0.0, wanted - present)
        times = normal + (normal**3 + normal) / (4 * dof)
    return max(1, math.ceil(min((wanted - present) / trial.cells, MAX_ROUNDS)))


def counted(old: float, new: float, threshold: float, *, higher_is_better: bool = False) -> Change:
    """The change of something that has no noise."""
    ratio = new / old if old else math.inf if new else 1.0
    verdict: Verdict = "same"
    if max(ratio, 1 / ratio if ratio else math.inf) >= 1 + threshold:
        verdict = "better" if (ratio > 1) == higher_is_better else "worse"
    return Change(old=old, new=new, ratio=ratio, low=ratio, high=ratio, verdict=verdict)


def pooled(trials: Sequence[Trial]) -> Trial:
    """The mean of several shifts, whose errors are independent."""
    number = len(trials)
    variances = [trial.variance.value * trial.factor for trial in trials]
    factor = fmean(trial.factor for trial in trials) / number
    squares = sum(
        variance**2 / trial.variance.dof for variance, trial in zip(variances, trials, strict=True)
    )
    return Trial(
        old=math.exp(fmean(math.log(trial.old) for trial in trials)),
        new=math.exp(fmean(math.log(trial.new) for trial in trials)),
        shift=fmean(trial.shift for trial in trials),
        variance=Variance(sum(variances) / number**2 / factor, sum(variances) ** 2 / squares),
        factor=factor,
        shared=trials[0].shared,
        cells=number,
        identical=all(trial.identical for trial in trials),
    )
