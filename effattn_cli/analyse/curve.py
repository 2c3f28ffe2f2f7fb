"""An amount at any length: measured there, or else between or beyond the lengths that were.

Between two measured lengths it runs straight on logarithmic axes, over the counted cost where the
profile holds that of the length asked for, else over the length. Beyond them it grows as the
counted cost did at that end. Nothing is fitted: see `predict`.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from effattn_cli.analyse import predict
from effattn_cli.analyse.amounts import Resource, points
from effattn_cli.analyse.estimate import Estimate
from effattn_cli.records import Cost, Record, Speed

REACH = 16  # times the longest length beyond which nothing is said
#: How far a curve can sag halfway between lengths of a ratio of 4, where no neighbour shows it.
SAG = math.log(1.2)
#: How far medians of processes differ, the least that is unknown where nothing was measured.
PROCESSES = math.log(1.05)


@dataclass(frozen=True)
class Curve:
    """One variant's values over the length, ascending, and what its calls cost."""

    points: Sequence[tuple[int, Estimate]]
    costs: Sequence[tuple[int, float]]  # counted, at measured lengths and others, ascending

    def at(self, seq: int) -> Estimate | None:
        """None where there is nothing to go by."""
        place = bisect_left(self.points, seq, key=lambda point: point[0])
        if place < len(self.points) and self.points[place][0] == seq:
            return self.points[place][1]
        if 0 < place < len(self.points):
            return self._between(place - 1, seq)
        return self._beyond(seq) if self.points else None

    @property
    def longest(self) -> int:
        """The longest length of which anything is said."""
        return self.points[-1][0] * REACH

    def _between(self, left: int, seq: int) -> Estimate:
        (before, low), (after, high) = self.points[left], self.points[left + 1]
        share = self._share(before, after, seq)
        middle = _mix(math.log(low.value), math.log(high.value), share)
        ends = [_widths(low), _widths(high)]
        gap = math.log(after / before) / math.log(4)
        sag = 4 * share * (1 - share) * gap * SAG
        others = self._carried(left, seq)
        down = max([middle - other for other in others] + [0.0])
        up = max([other - middle for other in others] + [0.0])
        if len(others) < 2:
            down, up = max(down, sag), max(up, sag)
        least = min(low.low, high.low)
        most = max(low.high, high.high)
        value = math.exp(middle)
        return Estimate(
            value=value,
            low=min(value, max(least, math.exp(middle - down - max(e[0] for e in ends)))),
            high=max(value, min(most, math.exp(middle + up + max(e[1] for e in ends)))),
            basis="interpolated" if {low.basis, high.basis} == {"measured"} else "predicted",
            sources=(before, after),
        )

    def _share(self, before: int, after: int, seq: int) -> float:
        """How far the length is on the way, on the logarithmic axis of cost or else of length."""
        known = dict(self.costs)
        axis: Sequence[float] = (before, seq, after)
        if known.keys() >= {before, seq, after} and known[before] < known[seq] < known[after]:
            axis = (known[before], known[seq], known[after])
        return math.log(axis[1] / axis[0]) / math.log(axis[2] / axis[0])

    def _carried(self, left: int, seq: int) -> list[float]:
        """Where the pieces of the curve on either side would be if they went on: what bends one
        way lies between these and the straight line.
        """
        found = []
        for first, second, start in ((left - 1, left, left), (left + 1, left + 2, left + 1)):
            if first >= 0 and second < len(self.points):
                slope = _slope(self.points[first], self.points[second])
                here, value = self.points[start][0], self.points[start][1].value
                found.append(math.log(value) + slope * math.log(seq / here))
        return found

    def _beyond(self, seq: int) -> Estimate | None:
        shorter = seq < self.points[0][0]
        near, known = self.points[0] if shorter else self.points[-1]
        growth = self._growth(shorter=shorter)
        if growth is None or not near / REACH <= seq <= near * REACH:
            return None
        factor = (seq / near) ** growth
        octaves = abs(math.log2(seq / near))
        band = predict.BAND ** max(1.0, octaves / 2)
        high = known.high * factor * band
        return replace(
            known,
            value=known.value * factor,
            low=known.low * factor / band,
            high=max(high, known.high) if shorter else high,  # what is done once does not shrink
            basis="predicted",
            sources=(near,),
            growth=growth,
            known=False,
        )

    def _growth(self, *, shorter: bool) -> float | None:
        """The exponent at that end: of the counted cost, else of what was measured."""
        ends = slice(0, 2) if shorter else slice(-2, None)
        costs = self.costs[ends]
        if len(costs) == 2 and min(cost for _, cost in costs) > 0:
            (low, small), (high, large) = costs
            return math.log(large / small) / math.log(high / low)
        pair = self.points[ends]
        return max(0.0, _slope(*pair)) if len(pair) == 2 else None


def curve(records: Sequence[Record], resource: Resource, share: float | None = None) -> Curve:
    """Of one variant's records in one setting, from the shortest length on."""
    speed = _speed(records)
    filled = [_filled(record, records, speed) for record in records]
    costs = [
        (record.cell.seq, _cost(record.cost, resource, speed))
        for record in records
        if record.cost is not None and (resource != "memory" or record.cell.phase != "decode")
    ]
    return Curve(_usable(points(filled, resource, share)), costs)


def _filled(record: Record, records: Sequence[Record], speed: Speed) -> Record:
    """A cell that was counted and not measured, with what its cost predicts."""
    shorter = any(other.rounds for other in records if other.cell.seq < record.cell.seq)
    longer = any(other.rounds for other in records if other.cell.seq > record.cell.seq)
    if record.status != "pending" or record.cost is None or longer or not shorter:
        return record  # between two measurements, these are the nearer witnesses
    return replace(record, prediction=predict.prediction(record, records, speed, "not measured"))


def _usable(found: list[tuple[int, Estimate]]) -> list[tuple[int, Estimate]]:
    """Without predictions that lie between measurements."""
    measured = [seq for seq, estimate in found if estimate.basis == "measured"]
    last = max(measured, default=0)
    return [(seq, e) for seq, e in found if e.basis == "measured" or seq > last]


def _speed(records: Sequence[Record]) -> Speed:
    """The most that these calls made of the device: what it can do at least."""
    rates = [
        (record.cost.flops / record.seconds, record.cost.moved_bytes / record.seconds)
        for record in records
        if record.cost is not None and record.rounds and record.seconds
    ]
    flops, moved = zip(*rates, strict=True) if rates else ((), ())
    return Speed(flops=max(flops, default=0) or 1.0, bytes=max(moved, default=0) or 1.0)


def _cost(cost: Cost, resource: Resource, speed: Speed) -> float:
    return float(cost.peak_bytes) if resource == "memory" else predict.roofline(cost, speed)


def _mix(low: float, high: float, share: float) -> float:
    return low + share * (high - low)


def _widths(estimate: Estimate) -> tuple[float, float]:
    """How far down and up the interval reaches, on the logarithmic axis."""
    down, up = estimate.value / estimate.low, estimate.high / estimate.value
    return max(math.log(down), PROCESSES), max(math.log(up), PROCESSES)


def _slope(first: tuple[int, Estimate], second: tuple[int, Estimate]) -> float:
    ratio = second[1].value / first[1].value
    return math.log(ratio) / math.log(second[0] / first[0])
