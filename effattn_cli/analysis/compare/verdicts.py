"""Verdicts on changes: which of many stand out from their noise, and which surely do not matter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from effattn_cli.stats import variance
from effattn_cli.stats.student_t import critical, tail
from effattn_cli.stats.variance import Spread

Verdict = Literal["better", "worse", "same", "unclear"]

FALSE = 0.05  # the share of false discoveries, and what a 95 % interval leaves out
POWER = 0.84  # normal quantile of four in five: the chance that the rounds advised decide
MOST_ROUNDS = 1000
LARGEST_LOG = 700.0  # its exponential is a number yet


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """From the old value to the new one; above 1, the ratio is a loss."""

    old: float
    new: float
    ratio: float  # corrected for the machine's own speed where that is known
    low: float
    high: float  # 95 % interval of the ratio; counts are exact
    verdict: Verdict
    more_rounds: int = 0  # on each side, about what would decide; 0: it is clear, or none would


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What is tested of one latency, or of a mean of several: a difference of logarithms."""

    old: float
    new: float
    shift: float
    spread: Spread
    scale: float  # variance of the shift for a variance of 1 between processes
    shared: float = 0.0  # variance that all trials have in common: of the machine's own speed
    cells: int = 1
    identical: bool = False  # one and the same measurement on both sides

    @property
    def error(self) -> float:
        return math.sqrt(self.spread.variance * self.scale + self.shared)

    @property
    def chance(self) -> float:
        """Of so large a shift where nothing has changed; 1 where it is too large to matter."""
        size = abs(self.shift) / self.error
        if self.identical or size < critical(FALSE, self.spread.freedom):
            return 1.0
        return tail(size, self.spread.freedom)

    def interval(self) -> tuple[float, float]:
        half = 0.0 if self.identical else critical(FALSE, self.spread.freedom) * self.error
        return self.shift - half, self.shift + half

    def visible(self, level: float) -> float:
        """The change that would stand out four times in five."""
        return _exp((critical(level, self.spread.freedom) + POWER) * self.error) - 1


def judged(trials: Sequence[Trial], threshold: float) -> list[Change]:
    """A verdict each; which of them stand out is decided over all together."""
    bound = math.log1p(threshold)
    number, level = _cut([trial.chance for trial in trials]), level_of(trials)
    last = number * FALSE / max(1, len(trials))
    found = []
    for trial in trials:
        low, high = trial.interval()
        verdict: Verdict = "unclear"
        if trial.chance <= last and abs(trial.shift) >= bound:
            verdict = "worse" if trial.shift > 0 else "better"
        elif -bound <= low and high <= bound:
            verdict = "same"
        found.append(
            Change(
                old=trial.old,
                new=trial.new,
                ratio=_exp(trial.shift),
                low=_exp(low),
                high=_exp(high),
                verdict=verdict,
                more_rounds=_more(trial, bound, level) if verdict == "unclear" else 0,
            )
        )
    return found


def _exp(log: float) -> float:
    return math.exp(log) if log < LARGEST_LOG else math.inf


def _cut(chances: Sequence[float]) -> int:
    """How many of the smallest chances stand out, by Benjamini and Hochberg."""
    number = 0
    for rank, chance in enumerate(sorted(chances), 1):
        if chance <= rank * FALSE / len(chances):
            number = rank
    return number


def level_of(trials: Sequence[Trial]) -> float:
    """The chance below which one more cell would stand out."""
    number = _cut([trial.chance for trial in trials])
    return min(number + 1, len(trials)) * FALSE / max(1, len(trials))


def _more(trial: Trial, bound: float, level: float) -> int:
    """Rounds to add on each side, so that a shift like this one would be decided.

    0 where what is not known of the machine's own speed forbids it: rounds do not tell that.
    """
    size = abs(trial.shift)
    apart = size >= bound
    room = max(size if apart else bound - size, 1e-9)
    each = variance.of_shift(3, 3) * 3  # the scale of a single round a side, among several
    have = each / trial.scale
    normal = critical(level if apart else FALSE, math.inf)
    wanted, times = have, normal
    for _ in range(2):  # the second time with the freedom that so many rounds would give
        left = (room / (times + POWER)) ** 2 - trial.shared
        if left <= 0:
            return 0
        wanted = each * trial.spread.variance / left
        freedom = trial.spread.freedom + 2 * max(0.0, wanted - have)
        times = normal + (normal**3 + normal) / (4 * freedom)
    return max(1, math.ceil(min((wanted - have) / trial.cells, MOST_ROUNDS)))


def counted(old: float, new: float, threshold: float) -> Change:
    ratio = new / old if old else math.inf if new else 1.0
    verdict: Verdict = "same"
    if max(ratio, 1 / ratio if ratio else math.inf) >= 1 + threshold:
        verdict = "worse" if ratio > 1 else "better"
    return Change(old=old, new=new, ratio=ratio, low=ratio, high=ratio, verdict=verdict)


def together(trials: Sequence[Trial]) -> Trial:
    """The mean of several shifts, whose errors are independent."""
    number = len(trials)
    errors = [trial.spread.variance * trial.scale for trial in trials]
    scale = fmean(trial.scale for trial in trials) / number
    each = sum(error**2 / t.spread.freedom for error, t in zip(errors, trials, strict=True))
    return Trial(
        old=math.exp(fmean(math.log(trial.old) for trial in trials)),
        new=math.exp(fmean(math.log(trial.new) for trial in trials)),
        shift=fmean(trial.shift for trial in trials),
        spread=Spread(sum(errors) / number**2 / scale, sum(errors) ** 2 / each),
        scale=scale,
        shared=trials[0].shared,
        cells=number,
        identical=all(trial.identical for trial in trials),
    )
