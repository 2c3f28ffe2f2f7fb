"""What changed between two profiles, cell by cell, and how sure that is.

The unit of replication is the process: a cell counts with one median a round, however many samples
each of them holds. A cell is faster or slower where its change is at least the threshold and stands
out from the noise between processes, the share of false discoveries over all cells being held at
one in twenty (Benjamini-Hochberg). It is the same where the whole 95 % interval of its change lies
within the threshold. Everything else is unclear. Predicted values have no verdict.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean, median
from typing import Literal

from effattn_cli.analyse import noise
from effattn_cli.analyse.noise import Pace
from effattn_cli.analyse.verdicts import Change, Trial, Verdict, counted, judged, level_of, together
from effattn_cli.records import Cell, Profile, Record, Round

Metric = Literal["latency", "memory", "flops"]
#: Seconds of a fixed kernel in a round's process, where the round knows it.
Calibration = Callable[[Round], float | None]

METRICS: tuple[Metric, ...] = ("latency", "memory", "flops")
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
    calibration: Calibration = lambda part: part.calibration,
) -> Comparison:
    """The verdicts on every cell that is in both profiles."""
    before = {_identity(record.cell): record for record in old.records}
    after = {_identity(record.cell): record for record in new.records}
    both = [(before[key], record) for key, record in after.items() if key in before]
    trials, slowdown = _trials(both, calibration)
    latencies = judged(list(trials.values()), threshold)
    changes = [_exact(*pair, threshold) for pair in both]
    for place, change in zip(trials, latencies, strict=True):
        changes[place] = {"latency": change, **changes[place]}
    pairs = tuple(
        Pair(old=mine, new=theirs, changes=found)
        for (mine, theirs), found in zip(both, changes, strict=True)
    )
    level = level_of(list(trials.values()))
    return Comparison(
        old=old,
        new=new,
        pairs=pairs,
        only_old=tuple(record for key, record in before.items() if key not in after),
        only_new=tuple(record for key, record in after.items() if key not in before),
        means=_means(pairs, trials, threshold),
        spread=median(math.sqrt(t.spread.variance) for t in trials.values()) if trials else 0.0,
        visible=median(t.visible(level) for t in trials.values()) if trials else 0.0,
        slowdown=slowdown,
    )


_AXES = [item.name for item in fields(Cell) if item.name != "options"]


def _identity(cell: Cell) -> tuple[object, ...]:
    """What `Cell.key` is made of; the key itself takes ten times as long."""
    known = vars(cell)
    return (*(known[name] for name in _AXES), *sorted(cell.options.items()))


def _trials(
    both: Sequence[tuple[Record, Record]], calibration: Calibration
) -> tuple[dict[int, Trial], float | None]:
    """By the place of the pair, for those that were measured on both sides; and the slowdown."""
    alike: dict[object, list[int]] = {}  # places that share a machine's speed and, likely, noise
    for place, (old, new) in enumerate(both):
        if old.status == new.status == "measured":
            alike.setdefault((new.cell.device, new.cell.threads), []).append(place)
    found: dict[int, Trial] = {}
    slowdowns = []
    for places in alike.values():
        pairs = [both[place] for place in places]
        before, after = (
            noise.pace([[*map(calibration, pair[side].rounds)] for pair in pairs])
            for side in (0, 1)
        )
        if before and after:
            slowdowns.append((len(places), math.exp(after.mean - before.mean)))
        else:
            before = after = None
        found |= zip(places, _alike(pairs, before, after), strict=True)
    return dict(sorted(found.items())), max(slowdowns)[1] if slowdowns else None


def _alike(
    pairs: Sequence[tuple[Record, Record]], before: Pace | None, after: Pace | None
) -> Iterator[Trial]:
    """The trials of cells that learn from one another how much processes differ."""
    medians = [[[part.median for part in side.rounds] for side in pair] for pair in pairs]
    logs = [(_logs(old, before), _logs(new, after)) for old, new in medians]
    owns = [noise.own(sides) for sides in logs]
    prior = noise.common(owns)
    for pair, (old, new), (mine, theirs), own in zip(pairs, medians, logs, owns, strict=True):
        yield Trial(
            old=median(old),
            new=median(new),
            shift=noise.shift(mine, theirs),
            spread=noise.drawn(own, prior),
            scale=noise.of_shift(len(mine), len(theirs)),
            shared=before.variance + after.variance if before and after else 0.0,
            identical=mine == theirs and pair[0].rounds == pair[1].rounds,
        )


def _logs(medians: Sequence[float], pace: Pace | None) -> list[float]:
    """A round each, less the machine's own slowness in it where that is known."""
    logs = [*map(math.log, medians)]
    return [log - slow for log, slow in zip(logs, pace.logs, strict=False)] if pace else logs


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
    pairs: Sequence[Pair], trials: Mapping[int, Trial], threshold: float
) -> tuple[Mean, ...]:
    """A mean for each variant that has a change, the latencies judged over all variants."""
    places: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        if pair.changes:
            places.setdefault(pair.cell.label, []).append(place)
    timed = {label: [trials[p] for p in found if p in trials] for label, found in places.items()}
    timed = {label: found for label, found in timed.items() if found}
    latencies = dict(zip(timed, judged([*map(together, timed.values())], threshold), strict=True))
    means = []
    for label, found in places.items():
        changes, cells = _mean_counts([pairs[place] for place in found], threshold)
        if label in latencies:
            changes, cells["latency"] = {"latency": latencies[label], **changes}, len(timed[label])
        means.append(Mean(label=label, cells=cells, changes=changes))
    return tuple(means)


def _mean_counts(
    pairs: Sequence[Pair], threshold: float
) -> tuple[dict[Metric, Change], dict[Metric, int]]:
    """Of what has no noise; a value of nothing has no logarithm and stays out."""
    found: dict[Metric, Change] = {}
    cells: dict[Metric, int] = {}
    for metric in METRICS[1:]:
        changes = [pair.changes[metric] for pair in pairs if metric in pair.changes]
        logs = [(math.log(c.old), math.log(c.new)) for c in changes if c.old and c.new]
        if logs:
            old, new = (math.exp(fmean(side)) for side in zip(*logs, strict=True))
            found[metric], cells[metric] = counted(old, new, threshold), len(logs)
    return found, cells
