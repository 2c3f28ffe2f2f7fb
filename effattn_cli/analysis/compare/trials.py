"""What is tested of a metric that has noise: a reading a run, of cells measured on both sides."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from effattn_cli.analysis.compare.verdicts import Trial
from effattn_cli.metrics import Metric
from effattn_cli.records import Record, Run
from effattn_cli.stats import variance
from effattn_cli.stats.variance import Sensitivity

#: Seconds of a reference kernel beside a run; None where nobody looked.
Calibration = Callable[[Run], float | None]
#: A kernel that took more than twice its usual time was interrupted itself (in logarithms).
FARTHEST = 0.7


@dataclass(frozen=True, slots=True)
class Sides:
    """The readings of a cell's runs, or their logarithms, in the old profile and in the new one."""

    old: list[float]
    new: list[float]


@dataclass(frozen=True, slots=True)
class Kernels:
    """Seconds of the reference kernel beside each of a cell's runs; None where nobody looked."""

    old: list[float | None]
    new: list[float | None]


@dataclass(frozen=True, slots=True)
class Corrected:
    """Logarithms of readings, less what the machine's own speed explains of them."""

    logs: list[Sides]
    shared: float = 0.0  # the variance that all shifts share by what is not known of that speed
    slowdown: float | None = None  # the kernel's time in the new profile over that in the old


def trials(
    pairs: Sequence[tuple[Record, Record]], metric: Metric, calibration: Calibration
) -> tuple[dict[int, Trial], float | None]:
    """By the place of the pair, where every run has a reading of the metric; and the machine's
    slowdown, where the metric is one that follows it.

    A reading of 0 is none: it has no ratio to another.
    """
    by_place: dict[object, dict[int, Sides]] = {}  # cells that share a machine's speed and noise
    for index, (old, new) in enumerate(pairs):
        if old.status == new.status == "measured":
            before, after = _readings(old, metric), _readings(new, metric)
            if before and after:
                key = (new.cell.setting.device, new.cell.setting.threads)
                by_place.setdefault(key, {})[index] = Sides(before, after)
    tested: dict[int, Trial] = {}
    slowdowns = []
    for readings in by_place.values():
        here = [pairs[index] for index in readings]
        follows = calibration if metric.timed else lambda _: None
        corrected = _corrected([*readings.values()], _kernels(here, follows))
        if corrected.slowdown is not None:
            slowdowns.append((len(readings), corrected.slowdown))
        made = _together(here, [*readings.values()], corrected.logs)
        for index, trial in zip(readings, made, strict=True):
            certain = replace(trial, shared=corrected.shared)
            tested[index] = _inverse(certain) if metric.higher_is_better else certain
    return dict(sorted(tested.items())), max(slowdowns)[1] if slowdowns else None


def _readings(record: Record, metric: Metric) -> list[float]:
    """Of all runs, or none. A rate is read as its inverse, which a slower machine makes more."""
    values = []
    for run in record.runs:
        value = None if metric.reading is None else metric.reading(record.cell, run)
        if not value:
            return []
        values.append(1 / value if metric.higher_is_better else value)
    return values


def _inverse(trial: Trial) -> Trial:
    return replace(trial, old=1 / trial.old, new=1 / trial.new, shift=-trial.shift)


def _kernels(pairs: Sequence[tuple[Record, Record]], calibration: Calibration) -> list[Kernels]:
    return [
        Kernels([*map(calibration, old.runs)], [*map(calibration, new.runs)]) for old, new in pairs
    ]


def _together(
    pairs: Sequence[tuple[Record, Record]], readings: Sequence[Sides], logs: Sequence[Sides]
) -> Iterator[Trial]:
    """The trials of cells that learn from one another how much processes differ."""
    owns = [variance.own([side.old, side.new]) for side in logs]
    prior = variance.prior(owns)
    for pair, raw, log, own in zip(pairs, readings, logs, owns, strict=True):
        yield Trial(
            old=median(raw.old),
            new=median(raw.new),
            shift=variance.shift(log.old, log.new),
            variance=variance.shrunken(own, prior),
            factor=variance.factor_of_shift(len(log.old), len(log.new)),
            identical=log.old == log.new and pair[0].runs == pair[1].runs,
        )


def _corrected(sides: Sequence[Sides], kernels: Sequence[Kernels]) -> Corrected:
    """The logarithms of the readings, less as much of the machine's slowness in each run as the
    cells show of it. Nothing is corrected where the kernel was not timed on one side.
    """
    logs = [Sides([*map(math.log, side.old)], [*map(math.log, side.new)]) for side in sides]
    before = [seconds for one in kernels for seconds in one.old if seconds is not None]
    after = [seconds for one in kernels for seconds in one.new if seconds is not None]
    if not before or not after:
        return Corrected(logs)
    usual = median(before)
    slowness = [
        Sides([_slowness(s, usual) for s in one.old], [_slowness(s, usual) for s in one.new])
        for one in kernels
    ]
    seen = variance.sensitivity(_runs(slowness, logs)) or variance.UNKNOWN
    change = fmean(_slowness(s, usual) for s in after) - fmean(_slowness(s, usual) for s in before)
    return Corrected(
        logs=[_less(log, slow, seen) for log, slow in zip(logs, slowness, strict=True)],
        shared=(seen.error * change) ** 2,
        slowdown=math.exp(change),
    )


def _runs(slowness: Sequence[Sides], logs: Sequence[Sides]) -> list[list[tuple[float, float]]]:
    """For each side of each cell, the kernel's slowness and the reading of every run.

    The sides stay apart: between them the cell itself may have changed.
    """
    sides = []
    for slow, log in zip(slowness, logs, strict=True):
        sides.append([*zip(slow.old, log.old, strict=True)])
        sides.append([*zip(slow.new, log.new, strict=True)])
    return sides


def _less(log: Sides, slow: Sides, seen: Sensitivity) -> Sides:
    def corrected(readings: list[float], slowness: list[float]) -> list[float]:
        return [one - seen.slope * more for one, more in zip(readings, slowness, strict=True)]

    return Sides(corrected(log.old, slow.old), corrected(log.new, slow.new))


def _slowness(seconds: float | None, usual: float) -> float:
    """In logarithms; 0 where the kernel was not timed."""
    if seconds is None:
        return 0.0
    return max(-FARTHEST, min(FARTHEST, math.log(seconds / usual)))
