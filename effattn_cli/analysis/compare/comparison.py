"""What changed between two profiles, cell by cell, and how sure that is.

The unit of replication is the process: a cell counts with one reading a run, however many samples
each of them holds. A cell is better or worse where its change is at least the threshold and stands
out from the noise between processes, the false discovery rate over all cells being held at 5 %
(Benjamini-Hochberg), for each metric. It is the same where the whole 95 % interval of its change
lies within the threshold. Everything else is unclear. Predicted values have no verdict.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from effattn_cli.analysis.compare.trials import Calibration, trials
from effattn_cli.analysis.compare.verdicts import (
    Change,
    Trial,
    Verdict,
    counted,
    judged,
    level_of,
    pooled,
)
from effattn_cli.machine import differences
from effattn_cli.metrics import METRICS, Metric
from effattn_cli.records import Cell, Profile, Record

PRIMARY: Mapping[str, Metric] = {name: one for name, one in METRICS.items() if one.primary}
THRESHOLD = 0.03


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The same cell in both profiles."""

    old: Record
    new: Record
    changes: Mapping[str, Change]  # by the names of the metrics that were measured on both sides

    @property
    def cell(self) -> Cell:
        return self.new.cell

    @property
    def newly_failed(self) -> bool:
        return self.old.status == "measured" and self.new.status == "failed"

    @property
    def newly_fixed(self) -> bool:
        return self.old.status == "failed" and self.new.status == "measured"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean:
    """A variant's geometric mean over its cells."""

    label: str
    cells: Mapping[str, int]  # by metric, how many the mean is over
    changes: Mapping[str, Change]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One profile against an older one."""

    old: Profile
    new: Profile
    metrics: Mapping[str, Metric]
    pairs: tuple[Pair, ...]  # in the order of the new profile
    only_old: tuple[Record, ...]
    only_new: tuple[Record, ...]
    means: tuple[Mean, ...]
    spread: float = 0.0  # median standard deviation of a latency between processes
    minimum_detectable_effect: float = 0.0  # what a usual cell would show four times in five
    slowdown: float | None = None  # of the machine (where most cells ran), by its calibration

    @property
    def in_turn(self) -> bool:
        """Both sides are of one sweep."""
        return self.old.created == self.new.created

    def count(self, metric: str) -> dict[Verdict, int]:
        verdicts: dict[Verdict, int] = {"worse": 0, "better": 0, "same": 0, "unclear": 0}
        for pair in self.pairs:
            if metric in pair.changes:
                verdicts[pair.changes[metric].verdict] += 1
        return verdicts


def compare(
    old: Profile,
    new: Profile,
    *,
    threshold: float = THRESHOLD,
    metrics: Mapping[str, Metric] = PRIMARY,
    calibration: Calibration = lambda run: run.calibration,
) -> Comparison:
    """The verdicts on every cell that is in both profiles.

    `calibration` gives the seconds of a reference kernel in a run's process. Between two machines
    nothing is corrected: that one is faster is what the comparison is to tell.
    """
    before = {record.cell: record for record in old.records}
    after = {record.cell: record for record in new.records}
    both = [(before[cell], record) for cell, record in after.items() if cell in before]
    one_machine = not differences(old.machine, new.machine, "hardware")
    kernel = calibration if one_machine else lambda _: None
    tested: dict[str, dict[int, Trial]] = {}
    slowdown = None
    for metric in metrics.values():
        if metric.noisy:
            tested[metric.name], slower = trials(both, metric, kernel)
            slowdown = slowdown or slower
    pairs = _pairs(both, metrics, tested, threshold)
    timed = [*tested.get("latency", {}).values()]
    level = level_of(timed)
    return Comparison(
        old=old,
        new=new,
        metrics=metrics,
        pairs=pairs,
        only_old=tuple(record for cell, record in before.items() if cell not in after),
        only_new=tuple(record for cell, record in after.items() if cell not in before),
        means=_means(pairs, metrics, tested, threshold),
        spread=median(math.sqrt(t.variance.value) for t in timed) if timed else 0.0,
        minimum_detectable_effect=(
            median(t.minimum_detectable_effect(level) for t in timed) if timed else 0.0
        ),
        slowdown=slowdown,
    )


def _pairs(
    both: Sequence[tuple[Record, Record]],
    metrics: Mapping[str, Metric],
    tested: Mapping[str, Mapping[int, Trial]],
    threshold: float,
) -> tuple[Pair, ...]:
    changes: list[dict[str, Change]] = [{} for _ in both]
    for name, metric in metrics.items():
        if name in tested:
            better_up = metric.higher_is_better
            judgements = judged([*tested[name].values()], threshold, higher_is_better=better_up)
            for index, change in zip(tested[name], judgements, strict=True):
                changes[index][name] = change
            continue
        for index, (old, new) in enumerate(both):
            exact = _exact(old, new, metric, threshold)
            if exact is not None:
                changes[index][name] = exact
    return tuple(
        Pair(old=old, new=new, changes=mine) for (old, new), mine in zip(both, changes, strict=True)
    )


def _exact(old: Record, new: Record, metric: Metric, threshold: float) -> Change | None:
    """The change of what has no noise, where it was measured or counted on both sides."""
    if "failed" in (old.status, new.status) or not metric.comparable(old, new):
        return None
    before, after = metric.value(old), metric.value(new)
    if before is None or after is None or metric.is_predicted(old) or metric.is_predicted(new):
        return None
    return counted(before, after, threshold, higher_is_better=metric.higher_is_better)


def _means(
    pairs: Sequence[Pair],
    metrics: Mapping[str, Metric],
    tested: Mapping[str, Mapping[int, Trial]],
    threshold: float,
) -> tuple[Mean, ...]:
    """A mean for each variant that has a change; what has noise is judged over all variants."""
    indices: dict[str, list[int]] = {}
    for index, pair in enumerate(pairs):
        if pair.changes:
            indices.setdefault(pair.cell.label, []).append(index)
    cells: dict[str, dict[str, int]] = {label: {} for label in indices}
    changes: dict[str, dict[str, Change]] = {label: {} for label in indices}
    for metric in metrics.values():
        means = (
            _pooled(indices, tested[metric.name], metric, threshold)
            if metric.name in tested
            else _mean_counts(indices, pairs, metric, threshold)
        )
        for label, (number, change) in means.items():
            cells[label][metric.name], changes[label][metric.name] = number, change
    return tuple(Mean(label=label, cells=cells[label], changes=changes[label]) for label in indices)


def _pooled(
    indices: Mapping[str, Sequence[int]],
    tested: Mapping[int, Trial],
    metric: Metric,
    threshold: float,
) -> dict[str, tuple[int, Change]]:
    """By label: over how many cells, and the mean change of what has noise."""
    mine = {label: [tested[p] for p in here if p in tested] for label, here in indices.items()}
    mine = {label: cells for label, cells in mine.items() if cells}
    judgements = judged(
        [*map(pooled, mine.values())], threshold, higher_is_better=metric.higher_is_better
    )
    return {
        label: (len(cells), change)
        for (label, cells), change in zip(mine.items(), judgements, strict=True)
    }


def _mean_counts(
    indices: Mapping[str, Sequence[int]], pairs: Sequence[Pair], metric: Metric, threshold: float
) -> dict[str, tuple[int, Change]]:
    """The same of what has no noise; a value of nothing has no logarithm and stays out."""
    means = {}
    for label, here in indices.items():
        changes = [pairs[index].changes.get(metric.name) for index in here]
        logs = [(math.log(c.old), math.log(c.new)) for c in changes if c and c.old and c.new]
        if logs:
            old, new = (math.exp(fmean(side)) for side in zip(*logs, strict=True))
            change = counted(old, new, threshold, higher_is_better=metric.higher_is_better)
            means[label] = (len(logs), change)
    return means
