"""From which length on a variant beats the baseline, and how sure that is."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import linear_regression
from typing import Literal, TypeVar

from effattn_cli.analysis.reliability import interval
from effattn_cli.analysis.series import Group
from effattn_cli.metrics import NOISY, Metric
from effattn_cli.records import Record

Verdict = Literal["better", "worse", "close"]

#: What a latency of a single sample may be off by: medians of processes differ by up to a third.
UNKNOWN = 0.25
#: Allocators round, and the ways to find a peak agree to about this.
SAME_MEMORY = 0.01
LEAST = 1e-12  # of a value, so that every ratio is finite
#: Lengths that differ by less than this factor from a crossover help to place it. The line through
#: four to seven of them is off by half as much as the one between the two beside it.
NEAR = 1.5

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A variant and the baseline at one length."""

    seq: int
    value: float
    baseline: float
    verdict: Verdict  # "close" where the intervals overlap
    predicted: bool  # one of the two was not measured
    ratios: tuple[float, float]  # the least and the most that `ratio` may be

    @property
    def ratio(self) -> float:
        """Above 1, the variant is the better one."""
        return self.baseline / self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossover:
    """A variant's curve against the baseline's, over the lengths where both have a value."""

    label: str
    baseline: str
    metric: Metric
    points: tuple[Comparison, ...]  # from the shortest length on; at least one

    @property
    def last(self) -> Comparison:
        return self.points[-1]

    @property
    def from_seq(self) -> int | None:
        """The length from which on the variant's values are lower; None if not so at the end."""
        lower = _tail(self.points, lambda point: point.ratio > 1)
        return lower[0].seq if lower else None

    @property
    def run(self) -> tuple[Comparison, ...]:
        """The longest lengths, as far down as the verdict stays that of the last."""
        return _tail(self.points, lambda point: point.verdict == self.last.verdict)

    @property
    def crossing(self) -> "Crossing":
        """Where the ratio passes 1 for good: between measured lengths, on logarithmic axes.

        Where more than two lengths lie near, a latency's is on the line through them all.
        """
        ratios = [(point.ratios[0], point.ratio, point.ratios[1]) for point in self.points]
        least, middle, most = (
            _passes([(p.seq, r) for p, r in zip(self.points, part, strict=True)])
            for part in zip(*ratios, strict=True)
        )
        if middle is not None and self.metric in NOISY:
            near = [p for p in self.points if middle / NEAR <= p.seq <= middle * NEAR]
            middle = middle if any(p.predicted for p in near) else _on_line(near, middle)
            most = None if most is None else min(most, middle)
            least = None if least is None else max(least, middle)
        return Crossing(
            at=middle,
            low=most,
            high=least,
            first=self.points[0].seq,
            last=self.last.seq,
            predicted=any(p.predicted for p in self._around(middle)),
        )

    def _around(self, seq: float | None) -> tuple[Comparison, ...]:
        """The points that `crossing` rests on: on either side, or the last."""
        if seq is None:
            return (self.last,)
        before = [point for point in self.points if point.seq <= seq]
        after = [point for point in self.points if point.seq >= seq]
        return (*before[-1:], *after[:1])

    @property
    def certain(self) -> bool:
        """Whether `from_seq` would stand if every value moved within its interval."""
        surely = self.run[0].seq if self.last.verdict == "better" else None
        return self.last.verdict != "close" and self.from_seq == surely


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossing:
    """The length N* from which on a variant is better, and how well it is known.

    None stands for "not up to `last`"; a value equal to `first` for "there already".
    """

    at: float | None
    low: float | None
    high: float | None
    first: int
    last: int
    predicted: bool


def crossover(group: Group, label: str, baseline: str, metric: Metric) -> Crossover | None:
    """Compares two curves of a table; None where no length has a value of both."""
    points = []
    for record in group.curve(label):
        other = group.find(baseline, record.cell.seq)
        point = compare(record, other, metric) if other is not None else None
        if point is not None:
            points.append(point)
    if not points:
        return None
    return Crossover(label=label, baseline=baseline, metric=metric, points=tuple(points))


def compare(record: Record, baseline: Record, metric: Metric) -> Comparison | None:
    """None where one of the values is missing, or nothing: there is no ratio to nothing."""
    mine, theirs = value(record, metric), value(baseline, metric)
    if not mine or not theirs:
        return None
    (low, high), (their_low, their_high) = _bounds(record, metric), _bounds(baseline, metric)
    verdict: Verdict = "better" if high < their_low else "worse" if low > their_high else "close"
    return Comparison(
        seq=record.cell.seq,
        value=mine,
        baseline=theirs,
        verdict=verdict,
        predicted=is_predicted(record, metric) or is_predicted(baseline, metric),
        ratios=(their_low / high, their_high / low),
    )


def is_predicted(record: Record, metric: Metric) -> bool:
    """Whether the value is neither measured nor counted; of a cell whose time is predicted the peak
    may be.
    """
    if metric in {"energy", "flops"}:
        return False
    return record.prediction is not None and (metric == "latency" or record.memory is None)


def value(record: Record, metric: Metric) -> float | None:
    if metric == "latency":
        return record.seconds
    if metric == "memory":
        return record.peak_bytes
    if metric == "flops":
        return record.cost.flops if record.cost else None
    if metric == "energy":
        return record.joules if record.failure is None else None
    return record.memory.state_bytes if record.memory and record.failure is None else None


def _bounds(record: Record, metric: Metric) -> tuple[float, float]:
    middle = value(record, metric) or 0.0
    around = UNKNOWN if metric in NOISY else SAME_MEMORY
    known = interval(record) if metric == "latency" else None
    low, high = known or (middle * (1 - around), middle * (1 + around))
    return max(low, LEAST), high


def _passes(ratios: Sequence[tuple[int, float]]) -> float | None:
    """The length from which on the ratio stays above 1; None if it is not above 1 at the end."""
    above = _tail(ratios, lambda point: point[1] > 1)
    if not above or len(above) == len(ratios):
        return float(above[0][0]) if above else None
    return meeting(*ratios[-len(above) - 1], *above[0])


def meeting(low: int, worse: float, high: int, better: float) -> float:
    """The length at which the straight line between two ratios, on logarithmic axes, passes 1."""
    share = math.log(worse) / (math.log(worse) - math.log(better))
    return low * (high / low) ** share


def _on_line(near: Sequence[Comparison], at: float) -> float:
    """Where the straight line through the points passes 1; `at` where it does so among none."""
    if len(near) > 2:
        lengths, ratios = [math.log(p.seq) for p in near], [math.log(p.ratio) for p in near]
        slope, start = linear_regression(lengths, ratios)
        if slope > 0 and lengths[0] < -start / slope < lengths[-1]:
            return math.exp(-start / slope)
    return at


def _tail(points: Iterable[T], holds: Callable[[T], bool]) -> tuple[T, ...]:
    """The points at the end for which it holds."""
    return tuple(takewhile(holds, reversed(tuple(points))))[::-1]
