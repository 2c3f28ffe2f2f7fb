"""What changed between two profiles, cell by cell, and how sure that is.

The unit of replication is the process: a cell counts with one median a round, however many samples
each of them holds, and with one reading of its energy. A cell is faster or slower where its change
is at least the threshold and stands out from the noise between processes, the share of false
discoveries over all cells being held at one in twenty (Benjamini-Hochberg), for latency and energy
each. It is the same where the whole 95 % interval of its change lies within the threshold.
Everything else is unclear. Predicted values have no verdict.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from statistics import fmean, median

from effattn_cli.analysis.compare.trials import Reading, trials
from effattn_cli.analysis.compare.verdicts import (
    Change,
    Trial,
    Verdict,
    counted,
    judged,
    level_of,
    together,
)
from effattn_cli.analysis.selection.filters import alike
from effattn_cli.metrics import NOISY, Metric
from effattn_cli.records import Cell, Profile, Record

METRICS: tuple[Metric, ...] = ("latency", "memory", "flops", "energy")
THRESHOLD = 0.03


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The same cell in both profiles."""

    old: Record
    new: Record
    changes: Mapping[Metric, Change]  # those that were measured on both sides

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
    cells: Mapping[Metric, int]  # how many each mean is over
    changes: Mapping[Metric, Change]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One profile against an older one."""

    old: Profile
    new: Profile
    pairs: tuple[Pair, ...]  # in the order of the new profile
    only_old: tuple[Record, ...]
    only_new: tuple[Record, ...]
    means: tuple[Mean, ...]
    spread: float = 0.0  # median standard deviation between processes
    visible: float = 0.0  # the change that a usual cell would show four times in five
    slowdown: float | None = None  # of the machine (where most cells ran), by its calibration

    @property
    def in_turn(self) -> bool:
        """Both sides are of one sweep."""
        return self.old.created == self.new.created

    def count(self, metric: Metric) -> dict[Verdict, int]:
        found: dict[Verdict, int] = {"worse": 0, "better": 0, "same": 0, "unclear": 0}
        for pair in self.pairs:
            if metric in pair.changes:
                found[pair.changes[metric].verdict] += 1
        return found


def compare(
    old: Profile,
    new: Profile,
    *,
    threshold: float = THRESHOLD,
    calibration: Reading = lambda part: part.calibration,
) -> Comparison:
    """The verdicts on every cell that is in both profiles.

    `calibration` gives the seconds of a fixed kernel in a round's process. Between two machines
    nothing is corrected: that one is faster is what the comparison is to tell.
    """
    before = {_identity(record.cell): record for record in old.records}
    after = {_identity(record.cell): record for record in new.records}
    both = [(before[key], record) for key, record in after.items() if key in before]
    kernel = calibration if alike(old, new) else lambda _: None
    timed, slowdown = trials(both, lambda part: part.median, kernel)
    drawn, _ = trials(both, lambda part: part.joules)
    tested: dict[Metric, dict[int, Trial]] = {"latency": timed, "energy": drawn}
    changes = [_exact(*pair, threshold) for pair in both]
    for metric, known in tested.items():
        for place, change in zip(known, judged([*known.values()], threshold), strict=True):
            changes[place][metric] = change
    pairs = tuple(
        Pair(old=mine, new=theirs, changes=found)
        for (mine, theirs), found in zip(both, changes, strict=True)
    )
    level = level_of([*timed.values()])
    return Comparison(
        old=old,
        new=new,
        pairs=pairs,
        only_old=tuple(record for key, record in before.items() if key not in after),
        only_new=tuple(record for key, record in after.items() if key not in before),
        means=_means(pairs, tested, threshold),
        spread=median(math.sqrt(t.spread.variance) for t in timed.values()) if timed else 0.0,
        visible=median(t.visible(level) for t in timed.values()) if timed else 0.0,
        slowdown=slowdown,
    )


_axes = itemgetter(*(item.name for item in fields(Cell) if item.name != "options"))


def _identity(cell: Cell) -> tuple[object, ...]:
    """What `Cell.key` is made of; the key itself takes twenty times as long."""
    return (*_axes(vars(cell)), *sorted(cell.options.items()))


def _exact(old: Record, new: Record, threshold: float) -> dict[Metric, Change]:
    """The changes of what has no noise."""
    found: dict[Metric, Change] = {}
    if "failed" in (old.status, new.status):
        return found
    if old.memory and new.memory and old.memory.method == new.memory.method:
        peaks = old.memory.peak_bytes, new.memory.peak_bytes
        found["memory"] = counted(*peaks, threshold)
    if old.cost and new.cost:
        found["flops"] = counted(old.cost.flops, new.cost.flops, threshold)
    return found


def _means(
    pairs: Sequence[Pair], tested: Mapping[Metric, Mapping[int, Trial]], threshold: float
) -> tuple[Mean, ...]:
    """A mean for each variant that has a change; what has noise is judged over all variants."""
    places: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        if pair.changes:
            places.setdefault(pair.cell.label, []).append(place)
    found = {label: _mean_counts([pairs[place] for place in known], threshold)
             for label, known in places.items()}  # fmt: skip
    for metric, each in tested.items():
        mine = {label: [each[p] for p in known if p in each] for label, known in places.items()}
        mine = {label: known for label, known in mine.items() if known}
        judgements = judged([*map(together, mine.values())], threshold)
        for (label, known), change in zip(mine.items(), judgements, strict=True):
            found[label][metric] = (len(known), change)
    return tuple(
        Mean(
            label=label,
            cells={metric: number for metric, (number, _) in means.items()},
            changes={metric: change for metric, (_, change) in means.items()},
        )
        for label, means in found.items()
    )


def _mean_counts(pairs: Sequence[Pair], threshold: float) -> dict[Metric, tuple[int, Change]]:
    """Of what has no noise; a value of nothing has no logarithm and stays out."""
    found: dict[Metric, tuple[int, Change]] = {}
    for metric in METRICS:
        changes = [pair.changes[metric] for pair in pairs if metric in pair.changes]
        logs = [(math.log(c.old), math.log(c.new)) for c in changes if c.old and c.new]
        if logs and metric not in NOISY:
            old, new = (math.exp(fmean(side)) for side in zip(*logs, strict=True))
            found[metric] = (len(logs), counted(old, new, threshold))
    return found
