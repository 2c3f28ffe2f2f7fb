"""An amount at any length: measured there, or else between or beyond the lengths that were.

Between two measured lengths it runs straight on logarithmic axes, over the counted cost where the
profile holds that of the length asked for, else over the length. Beyond them it grows as the
counted cost did at that end. Nothing is fitted: see `predict`.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from msgspec import structs

from effattn_cli.analysis.cost import prediction, scaling, utilisation
from effattn_cli.estimate import Estimate
from effattn_cli.metrics import LATENCY, LEAST, Metric
from effattn_cli.records import Bandwidth, Cost, Record, Roofline

REACH = 16  # times the longest length beyond which nothing is said
#: How far a curve can sag halfway between lengths of a ratio of 4, where no neighbour shows it.
SAG = math.log(1.2)
#: How far medians of processes differ, the least that is unknown where nothing was measured.
PROCESSES = math.log(1.05)


@dataclass(frozen=True)
class Curve:
    """One variant's values over the length. Each is worked out when it is asked for."""

    records: Sequence[Record]  # in one setting, from the shortest length on
    metric: Metric
    under: Roofline | None = None  # that of the setting, where it is known

    def at(self, seq: int) -> Estimate | None:
        """None where there is nothing to go by."""
        index = bisect_left(self.seqs, seq)
        if index < len(self.seqs) and self.seqs[index] == seq:
            return self.value(index)
        if 0 < index < len(self.seqs):
            return self._between(index - 1, seq)
        return self._beyond(seq) if self.seqs else None

    @cached_property
    def seqs(self) -> list[int]:
        """The lengths at which the curve has a value of its own."""
        return [record.cell.seq for record in self._valued]

    @property
    def points(self) -> list[tuple[int, Estimate]]:
        return [(seq, self.value(index)) for index, seq in enumerate(self.seqs)]

    @property
    def longest(self) -> int:
        """The longest length of which anything is said."""
        return self.seqs[-1] * REACH if self.seqs else 0

    @cached_property
    def _valued(self) -> list[Record]:
        """Those with a value; between two measurements a prediction is the lesser witness."""
        filled = [self._filled(record) for record in self.records]
        own = [(record, self.metric.is_predicted(record)) for record in filled if self._has(record)]
        last = max((record.cell.seq for record, predicted in own if not predicted), default=0)
        return [record for record, predicted in own if not predicted or record.cell.seq > last]

    def _has(self, record: Record) -> bool:
        """Whether there is a value, of a percentile the median at least."""
        metric = self.metric if self.metric.quantile is None else LATENCY
        return record.failure is None and metric.value(record) is not None

    @cached_property
    def _values(self) -> dict[int, Estimate]:
        return {}

    def value(self, index: int) -> Estimate:
        if index not in self._values:
            self._values[index] = self._value(index)
        return self._values[index]

    def _value(self, index: int) -> Estimate:
        """A percentile where there are no samples is as far from the median as it was before."""
        record = self._valued[index]
        own = self.metric.read(record)
        if own is not None:  # of nothing, a little: the axes are logarithmic
            return replace(own, value=max(own.value, LEAST), high=max(own.high, LEAST))
        middle = LATENCY.read(record)
        assert middle is not None
        before = next((r for r in reversed(self._valued[:index]) if r.samples), None)
        ratio = 1.0
        if before is not None:
            high, usual = self.metric.value(before), LATENCY.value(before)
            ratio = high / usual if high and usual else 1.0
        value, low, high_end = (ratio * end for end in (middle.value, middle.low, middle.high))
        return replace(middle, value=value, low=low, high=high_end, known=False)

    def _filled(self, record: Record) -> Record:
        """A cell that was counted and not measured, with what its cost predicts."""
        unknown = self.metric.name == "energy"
        if record.status != "pending" or record.cost is None or unknown:
            return record
        predicted = prediction.prediction(record, self.records, self._expected, "not measured")
        return structs.replace(record, prediction=predicted)

    def _expected(self, cost: Cost) -> float:
        """Seconds of a program, for ratios. Without a roofline those of its greatest part, at rates
        that calls have reached: these do not add up.
        """
        if self.under is not None:
            return utilisation.seconds(cost, self.under)
        return max(utilisation.limits(cost, self._reached).values()) or utilisation.CALL

    @cached_property
    def _reached(self) -> Roofline:
        """The most that these calls made of the device: what it can do at least."""
        flops = moved = 0.0
        for record in self.records:
            seconds = record.seconds if record.runs else None
            if record.cost is not None and seconds:
                flops = max(flops, record.cost.matmul_flops / seconds)
                moved = max(moved, record.cost.moved_bytes / seconds)
        return structs.replace(
            utilisation.ANY,
            flops=flops or 1.0,
            exponentials=flops or 1.0,
            bandwidths=(Bandwidth(working_set_bytes=1, speed=moved or 1.0),),
            dispatch=0.0,
        )

    @cached_property
    def _costs(self) -> dict[int, float]:
        """What was counted, by length; a decoding step's own peak says nothing of its state."""
        if self.metric.name == "memory" and self.records[0].cell.setting.phase == "decode":
            return {}
        return {r.cell.seq: self._cost(r.cost) for r in self.records if r.cost is not None}

    def _cost(self, cost: Cost) -> float:
        if self.metric.name == "memory":
            return float(cost.peak_bytes)
        return self._expected(cost)

    def _between(self, left: int, seq: int) -> Estimate:
        before, after = self.seqs[left : left + 2]
        low, high = self.value(left), self.value(left + 1)
        fraction = self._fraction(before, after, seq)
        middle = _mix(math.log(low.value), math.log(high.value), fraction)
        down, up = self._bend(left, seq, middle, fraction)
        (low_down, low_up), (high_down, high_up) = _widths(low), _widths(high)
        lowest = math.exp(middle - down - max(low_down, high_down))
        highest = math.exp(middle + up + max(low_up, high_up))
        value = math.exp(middle)
        return Estimate(
            value=value,
            low=min(value, max(lowest, min(low.low, high.low))),
            high=max(value, min(highest, max(low.high, high.high))),
            basis="interpolated" if {low.basis, high.basis} == {"measured"} else "predicted",
            sources=(before, after),
            busy=low.busy or high.busy,
        )

    def _bend(self, left: int, seq: int, middle: float, fraction: float) -> tuple[float, float]:
        """How far below and above the straight line the curve may run (in logarithms)."""
        others = self._carried(left, seq)
        down = max([middle - other for other in others] + [0.0])
        up = max([other - middle for other in others] + [0.0])
        if len(others) == 2:
            return down, up
        gap = math.log(self.seqs[left + 1] / self.seqs[left]) / math.log(4)
        sag = 4 * fraction * (1 - fraction) * gap * SAG
        return max(down, sag), max(up, sag)

    def _fraction(self, before: int, after: int, seq: int) -> float:
        """How far the length is on the way, on the logarithmic axis of cost or else of length."""
        axis: Sequence[float] = (before, seq, after)
        if any(record.cell.seq == seq and record.cost for record in self.records):
            costs = [self._costs.get(length, 0.0) for length in (before, seq, after)]
            axis = costs if 0 < costs[0] < costs[1] < costs[2] else axis
        return math.log(axis[1] / axis[0]) / math.log(axis[2] / axis[0])

    def _carried(self, left: int, seq: int) -> list[float]:
        """Where the pieces of the curve on either side would be if they went on: what bends one
        way lies between these and the straight line.
        """
        carried = []
        for first, second, start in ((left - 1, left, left), (left + 1, left + 2, left + 1)):
            if first >= 0 and second < len(self.seqs):
                change = self._slope(first, second) * math.log(seq / self.seqs[start])
                carried.append(math.log(self.value(start).value) + change)
        return carried

    def _beyond(self, seq: int) -> Estimate | None:
        shorter = seq < self.seqs[0]
        index = 0 if shorter else len(self.seqs) - 1
        near, near_value = self.seqs[index], self.value(index)
        exponent = self._exponent(near, seq)
        if exponent is None or not near / REACH <= seq <= near * REACH:
            return None
        factor = (seq / near) ** exponent
        band = prediction.band(seq / near)
        high = near_value.high * factor * band
        return replace(
            near_value,
            value=near_value.value * factor,
            low=near_value.low * factor / band,
            high=max(high, near_value.high)
            if shorter
            else high,  # what is done once does not shrink
            basis="predicted",
            sources=(near,),
            exponent=exponent,
            known=False,
        )

    def _exponent(self, near: int, seq: int) -> float | None:
        """The exponent from one end on: of the counted cost, else of what was measured."""
        costs = [point for point in sorted(self._costs.items()) if point[1] > 0]
        costs = costs if seq > near else costs[1::-1]
        if len(costs) > 1:
            grown = scaling.carried(costs, seq) / scaling.carried(costs, near)
            return math.log(grown) / math.log(seq / near)
        last = len(self.seqs) - 1
        ends = (last - 1, last) if seq > near else (0, 1)
        return max(0.0, self._slope(*ends)) if last else None

    def _slope(self, first: int, second: int) -> float:
        ends = [(self.seqs[index], self.value(index).value) for index in (first, second)]
        return scaling.power_between(*ends)


def _mix(low: float, high: float, fraction: float) -> float:
    return low + fraction * (high - low)


def _widths(estimate: Estimate) -> tuple[float, float]:
    """How far down and up the interval reaches, on the logarithmic axis."""
    down, up = estimate.value / estimate.low, estimate.high / estimate.value
    return max(math.log(down), PROCESSES), max(math.log(up), PROCESSES)
