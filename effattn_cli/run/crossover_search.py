"""Measures only the lengths that pin down where a variant overtakes the baseline."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from effattn_cli.analysis.cost import prediction, time_estimate
from effattn_cli.analysis.crossover.crossing import compare
from effattn_cli.analysis.crossover.next_length import next_length
from effattn_cli.records import Cell, Profile, Record
from effattn_cli.run.context import Rig
from effattn_cli.run.scheduler import Runner

Ratios = Mapping[int, float]  # by length: how many times faster than the baseline


class Hunt:
    """One search over the lines of `profile`: its lengths bound it and guide it by their cost."""

    def __init__(self, profile: Profile, rig: Rig) -> None:
        self._profile = profile
        self._rig = rig
        self._start = 0.0
        self._visited: dict[Cell, Record] = {}
        self._counted: list[Record] = []
        self._expects: dict[str, prediction.Expect] = {}

    def run(self) -> Profile:
        """The profile of what was measured; the cells that only guided the search are left out."""
        counter = Runner(self._profile, replace(self._rig, save=lambda _: None))
        counted = counter.count()
        self._counted = list(counted.records)
        self._profile = replace(self._profile, rooflines=counted.rooflines)
        self._start = self._rig.clock()  # the budget is for measuring, not for loading torch
        for cell in self._curves():
            self._expects[cell.line] = counter.outlook.expect(cell)
        left = list(self._pairs())
        while left:  # one length of each variant in turn, so that the budget serves all of them
            left = [pair for pair in left if self._step(*pair)]
        found = self._current()
        self._saved(found)
        return found

    def _pairs(self) -> Iterator[tuple[Cell, Cell]]:
        """A cell of each curve, and the same of the baseline."""
        cells = self._curves()
        for cell in cells:
            for other in cells:
                beside = other.label == self._profile.baseline and other.label != cell.label
                if beside and _setting(other) == _setting(cell):
                    yield cell, other

    def _step(self, cell: Cell, baseline: Cell) -> bool:
        """Measures the pair at the length that tells most; False where there is none."""
        measured, expected = self._ratios(cell, baseline)
        seqs = [each.cell.seq for each in self._counted if _curve(each.cell) == _curve(cell)]
        seq = next_length(measured, expected, min(seqs), max(seqs))
        pair = [] if seq is None else [each.resized(seq) for each in (cell, baseline)]
        new = [each for each in pair if each not in self._visited]
        if not new or not self._affordable(new):
            return False
        self._measure(new)
        return True

    def _affordable(self, cells: list[Cell]) -> bool:
        """Whether the cells' visits would end within the budget: half of them are no answer."""
        sampling = self._profile.sampling
        if sampling.time_budget is None:
            return True
        calls = [self._expected(cell) or 0.0 for cell in cells]
        seconds = sum(time_estimate.cell_seconds(call, sampling) for call in calls)
        return self._rig.clock() - self._start + seconds <= sampling.time_budget

    def _measure(self, cells: list[Cell]) -> None:
        known = {record.cell: record for record in self._counted}
        new = [known.get(cell, Record(cell=cell)) for cell in cells]
        profile = replace(
            self._profile,
            sampling=replace(self._profile.sampling, time_budget=None),
            records=(*self._visited.values(), *new),
        )
        found = Runner(profile, replace(self._rig, save=self._unfinished)).run()
        self._visited = {record.cell: record for record in found.records}

    def _ratios(self, cell: Cell, baseline: Cell) -> tuple[Ratios, Ratios]:
        """As measured, and as expected."""
        measured: dict[int, float] = {}
        for record in self._visited.values():
            other = self._visited.get(baseline.resized(record.cell.seq))
            if _curve(record.cell) == _curve(cell) and other is not None:
                found = compare(record, other, "latency")
                if found is not None:
                    measured[record.cell.seq] = found.ratio
        expected = {}
        for record in self._counted:
            if _curve(record.cell) == _curve(cell):
                mine = self._expected(record.cell)
                theirs = self._expected(baseline.resized(record.cell.seq))
                if mine and theirs:
                    expected[record.cell.seq] = theirs / mine
        return measured, expected

    def _expected(self, cell: Cell) -> float | None:
        """Seconds of a call; of a length that was not counted, those of the next that was."""
        own = [each for each in self._counted if _curve(each.cell) == _curve(cell)]
        record = next((each for each in own if each.cell.seq >= cell.seq), None)
        if record is None:
            return None
        return prediction.seconds(record, self._visited.values(), self._expects[cell.line])

    def _curves(self) -> list[Cell]:
        """A cell of each."""
        return list({_curve(r.cell): r.cell for r in self._profile.records}.values())

    def _unfinished(self, profile: Profile) -> None:
        self._saved(replace(self._profile, records=profile.records, finished=False))

    def _saved(self, profile: Profile) -> None:
        """Nothing is written, and nothing replaced, before there is something to keep."""
        if any(record.rounds for record in profile.records):
            self._rig.save(profile)

    def _current(self) -> Profile:
        records = sorted(self._visited.values(), key=lambda r: (r.cell.line, r.cell.seq))
        return replace(self._profile, records=tuple(records), finished=True)


def _curve(cell: Cell) -> tuple[str, int]:
    """What cells that differ in their length have in common."""
    return cell.line, cell.batch


def _setting(cell: Cell) -> Cell:
    return replace(cell, variant="", options={}, seq=0)
