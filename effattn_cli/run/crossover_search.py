"""Measures only the lengths that pin down where a variant overtakes the baseline."""

import dataclasses
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from effattn_cli.analysis.cost import prediction, time_estimate
from effattn_cli.analysis.crossover.crossing import compare
from effattn_cli.analysis.crossover.next_length import next_length
from effattn_cli.metrics import LATENCY
from effattn_cli.records import Cell, Profile, Record
from effattn_cli.run.context import RunContext, Saver, Unsaved
from effattn_cli.run.scheduler import Scheduler

Ratios = Mapping[int, float]  # by length: how many times faster than the baseline


class CrossoverSearch:
    """One search over the curves of `profile`: its lengths bound it and guide it by their cost."""

    def __init__(self, profile: Profile, context: RunContext) -> None:
        self._profile = profile
        self._context = context
        self._start = 0.0
        self._measured: dict[Cell, Record] = {}
        self._counted: dict[Cell, list[Record]] = {}  # by curve, from the shortest length on
        self._expects: dict[Cell, prediction.Expect] = {}

    def run(self) -> Profile:
        """The profile of what was measured; the cells that only guided the search are left out."""
        counter = Scheduler(self._profile, dataclasses.replace(self._context, saver=Unsaved()))
        counted = counter.count()
        self._profile = replace(self._profile, rooflines=counted.rooflines)
        self._start = self._context.clock()  # the budget is for measuring, not for loading torch
        for record in counted.records:
            self._counted.setdefault(_curve(record.cell), []).append(record)
        for curve in self._counted:
            self._expects[curve] = counter.state.expect(curve)
        left = list(self._pairs())
        while left:  # one length of each variant in turn, so that the budget serves all of them
            left = [pair for pair in left if self._step(*pair)]
        finished = self._finished()
        if any(record.runs for record in finished.records):
            self._context.saver.write(finished)
        return finished

    def _pairs(self) -> Iterator[tuple[Cell, Cell]]:
        """Each curve, and that of the baseline beside it."""
        for curve in self._counted:
            for other in self._counted:
                beside = other.label == self._profile.baseline and other.label != curve.label
                if beside and other.setting == curve.setting:
                    yield curve, other

    def _step(self, curve: Cell, baseline: Cell) -> bool:
        """Measures the pair at the length that tells most; False where there is none."""
        seqs = [record.cell.seq for record in self._counted[curve]]
        measured, expected = self._ratios(curve, baseline), self._expectations(curve, baseline)
        seq = next_length(measured, expected, min(seqs), max(seqs))
        if seq is None:
            return False
        pair = [curve.resized(seq), baseline.resized(seq)]
        new = [cell for cell in pair if cell not in self._measured]
        if not new or not self._affordable(new):
            return False
        self._measure(new)
        return True

    def _affordable(self, cells: list[Cell]) -> bool:
        """Whether all runs of the cells would end within the budget: half of them are no answer."""
        sampling = self._profile.sampling
        if sampling.time_budget is None:
            return True
        samples = [self._sample_seconds(cell) for cell in cells]
        seconds = sum(time_estimate.cell_seconds(sample, sampling) for sample in samples)
        return self._context.clock() - self._start + seconds <= sampling.time_budget

    def _measure(self, cells: list[Cell]) -> None:
        counted = {r.cell: r for cell in cells for r in self._counted[_curve(cell)]}
        new = [counted.get(cell, Record(cell=cell)) for cell in cells]
        profile = replace(
            self._profile,
            sampling=replace(self._profile.sampling, time_budget=None),
            records=(*self._measured.values(), *new),
        )
        saver = _Part(self._context.saver, self._profile)
        result = Scheduler(profile, dataclasses.replace(self._context, saver=saver)).run()
        self._measured = {record.cell: record for record in result.records}

    def _ratios(self, curve: Cell, baseline: Cell) -> Ratios:
        """As measured."""
        ratios: dict[int, float] = {}
        for record in self._measured.values():
            other = self._measured.get(baseline.resized(record.cell.seq))
            if _curve(record.cell) == curve and other is not None:
                point = compare(record, other, LATENCY)
                if point is not None:
                    ratios[record.cell.seq] = point.ratio
        return ratios

    def _expectations(self, curve: Cell, baseline: Cell) -> Ratios:
        """As expected from counted costs, and from what was measured so far."""
        ratios = {}
        for record in self._counted[curve]:
            mine = self._expected(record.cell)
            theirs = self._expected(baseline.resized(record.cell.seq))
            if mine and theirs:
                ratios[record.cell.seq] = theirs / mine
        return ratios

    def _sample_seconds(self, cell: Cell) -> float:
        """What is expected of a sample: a call, or a period of decoding steps."""
        record = self._counted_for(cell)
        return (self._expected(cell) or 0.0) * (1 if record is None else record.steps)

    def _counted_for(self, cell: Cell) -> Record | None:
        """The record of the cell, or of the next longer one that was counted."""
        longer = (other for other in self._counted[_curve(cell)] if other.cell.seq >= cell.seq)
        return next(longer, None)

    def _expected(self, cell: Cell) -> float | None:
        """Seconds of a call; of a length that was not counted, those of the next that was."""
        curve, record = _curve(cell), self._counted_for(cell)
        if record is None:
            return None
        others = [r for r in self._measured.values() if _curve(r.cell) == curve]
        return prediction.seconds(record, others, self._expects[curve])

    def _finished(self) -> Profile:
        order = list(self._counted)
        records = sorted(
            self._measured.values(), key=lambda r: (order.index(_curve(r.cell)), r.cell.seq)
        )
        return replace(self._profile, records=tuple(records), finished=True)


class _Part:
    """Saves the part of a search that is measured now as an unfinished profile.

    Nothing is written, and nothing replaced, before there is something to keep.
    """

    def __init__(self, saver: Saver, whole: Profile) -> None:
        self._saver = saver
        self._whole = whole
        self._profile: Profile | None = None
        self._written = False

    def write(self, profile: Profile) -> None:
        self._profile = replace(self._whole, records=profile.records, finished=False)
        self._written = any(record.runs for record in profile.records)
        if self._written:
            self._saver.write(self._profile)

    def add(self, record: Record) -> None:
        assert self._profile is not None
        if self._written:
            self._saver.add(record)
            return
        records = (record if r.cell == record.cell else r for r in self._profile.records)
        self.write(replace(self._profile, records=tuple(records)))


def _curve(cell: Cell) -> Cell:
    """What cells that differ in their length have in common."""
    return cell.resized(0)
