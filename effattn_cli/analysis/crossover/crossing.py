"""From which length on a variant beats the baseline, and how sure that is."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import linear_regression
from typing import Literal, TypeVar

from effattn_cli.analysis.series import Series
from effattn_cli.metrics import Metric
from effattn_cli.records import Record

Ordering = Literal["better", "worse", "close"]

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
    ordering: Ordering  # "close" where the intervals overlap
    predicted: bool  # one of the two was not measured
    busy: bool  # one of the two was measured beside other load
    ratios: tuple[float, float]  # the lowest and the highest that `ratio` may be
    inverse: bool = False  # of the metric more is better

    @property
    def ratio(self) -> float:
        """Above 1, the variant is the better one."""
        return self.value / self.baseline if self.inverse else self.baseline / self.value


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
        """The length from which on the variant's values are better; None if not so at the end."""
        better = _tail(self.points, lambda point: point.ratio > 1)
        return better[0].seq if better else None

    @property
    def run(self) -> tuple[Comparison, ...]:
        """The longest lengths, as far down as the ordering stays that of the last."""
        return _tail(self.points, lambda point: point.ordering == self.last.ordering)

    @property
    def crossing(self) -> "Crossing":
        """Where the ratio passes 1 for good: between measured lengths, on logarithmic axes.

        Where more than two lengths lie near, that of a noisy metric is on the line through them
        all.
        """
        at = self._passing(lambda point: point.ratio)
        first, last = (self._passing(ratio) for ratio in (_highest, _lowest))
        if at is not None and self.metric.noisy:
            near = [p for p in self.points if at / NEAR <= p.seq <= at * NEAR]
            at = at if any(p.predicted for p in near) else _on_line(near, at)
            first = None if first is None else min(first, at)
            last = None if last is None else max(last, at)
        return Crossing(
            at=at,
            low=first,
            high=last,
            first=self.points[0].seq,
            last=self.last.seq,
            predicted=any(p.predicted for p in self._around(at)),
        )

    def _passing(self, ratio: Callable[[Comparison], float]) -> float | None:
        return _passes([(point.seq, ratio(point)) for point in self.points])

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
        surely = self.run[0].seq if self.last.ordering == "better" else None
        return self.last.ordering != "close" and self.from_seq == surely


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


def crossover(series: Series, label: str, baseline: str, metric: Metric) -> Crossover | None:
    """Compares two curves of a table; None where no length has a value of both."""
    points = []
    for record in series.curve(label):
        other = series.find(baseline, record.cell.seq)
        point = compare(record, other, metric) if other is not None else None
        if point is not None:
            points.append(point)
    if not points:
        return None
    return Crossover(label=label, baseline=baseline, metric=metric, points=tuple(points))


def compare(record: Record, baseline: Record, metric: Metric) -> Comparison | None:
    """None where one of the values is missing, or nothing: there is no ratio to nothing."""
    mine, theirs = metric.read(record), metric.read(baseline)
    if mine is None or theirs is None or not mine.value or not theirs.value:
        return None
    less, more = mine.high < theirs.low, mine.low > theirs.high
    ratios = theirs.low / mine.high, theirs.high / mine.low
    ordering: Ordering = "better" if less else "worse" if more else "close"
    if metric.higher_is_better:
        ratios = mine.low / theirs.high, mine.high / theirs.low
        ordering = "better" if more else "worse" if less else "close"
    return Comparison(
        seq=record.cell.seq,
        value=mine.value,
        baseline=theirs.value,
        ordering=ordering,
        predicted="predicted" in (mine.basis, theirs.basis),
        busy=mine.busy or theirs.busy,
        ratios=ratios,
        inverse=metric.higher_is_better,
    )


def _lowest(point: Comparison) -> float:
    return point.ratios[0]


def _highest(point: Comparison) -> float:
    return point.ratios[1]


def _passes(ratios: Sequence[tuple[int, float]]) -> float | None:
    """The length from which on the ratio stays above 1; None if it is not above 1 at the end."""
    above = _tail(ratios, lambda point: point[1] > 1)
    if not above or len(above) == len(ratios):
        return float(above[0][0]) if above else None
    return meeting(*ratios[-len(above) - 1], *above[0])


def meeting(low: int, worse: float, high: int, better: float) -> float:
    """The length at which the straight line between two ratios, on logarithmic axes, passes 1."""
    fraction = math.log(worse) / (math.log(worse) - math.log(better))
    return low * (high / low) ** fraction


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
