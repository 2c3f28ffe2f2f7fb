"""The records of a sweep, and what they let one expect of the cells that are not finished."""

from dataclasses import replace
from functools import partial

from effattn_cli.analysis.cost import prediction, time_estimate, utilisation
from effattn_cli.records import Cell, Failure, Profile, Record, Roofline

TOO_LATE = "would not fit the time budget"


class Outlook:
    """Begins with the records of `profile`; each finding that is entered may change it."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._records = {record.cell: record for record in profile.records}
        self._lines: dict[str, list[Cell]] = {}
        for cell in self._records:
            self._lines.setdefault(cell.line, []).append(cell)
        self._expected: dict[Cell, float | None] = {}  # seconds of a call, as known now
        self._skipped: dict[Cell, str] = {}  # not to be visited, and why
        self._ahead: dict[Cell, tuple[int, float]] = {}  # visits to come, and their seconds

    @property
    def profile(self) -> Profile:
        return replace(self._profile, records=tuple(self._records.values()))

    @property
    def rooflines(self) -> tuple[Roofline, ...]:
        return self._profile.rooflines

    @property
    def open(self) -> list[Record]:
        """Those that neither failed nor are predicted."""
        return [r for r in self._records.values() if r.failure is None and r.prediction is None]

    def __getitem__(self, cell: Cell) -> Record:
        return self._records[cell]

    def enter(self, record: Record) -> None:
        self._records[record.cell] = record
        for cell in self._lines[record.cell.line]:  # which may have more to go by now
            self._expected.pop(cell, None)
            self._ahead.pop(cell, None)

    def skip(self, cell: Cell, why: str) -> None:
        """It is not to be visited."""
        self._skipped[cell] = why
        self._ahead.pop(cell, None)

    def learn(self, *found: Roofline) -> None:
        self._profile = replace(self._profile, rooflines=(*self._profile.rooflines, *found))
        self._expected.clear()
        self._ahead.clear()

    def curve(self, cell: Cell) -> list[Record]:
        """The records of the cell's line: they differ in nothing but length and batch."""
        return [self._records[other] for other in self._lines[cell.line]]

    def seconds(self, record: Record) -> float | None:
        """What one call of the cell takes, as far as is known now."""
        known = prediction.call_seconds(record)
        if known is not None:
            return known
        cell = record.cell
        if cell not in self._expected:
            self._expected[cell] = prediction.seconds(record, self.curve(cell), self.expect(cell))
        return self._expected[cell]

    def expect(self, cell: Cell) -> prediction.Expect:
        under = utilisation.of(cell, self._profile.rooflines) or utilisation.ANY
        return partial(utilisation.seconds, roofline=under)

    def predicted(self, record: Record) -> Record:
        """The record with what is expected of it, or else with why there is nothing."""
        why = self._skipped.get(record.cell, TOO_LATE)
        cell = record.cell
        found = prediction.prediction(record, self.curve(cell), self.expect(cell), why)
        message = f"{why}, and no shorter length was measured"
        failure = Failure(reason="too-costly", message=message) if found is None else None
        return replace(record, prediction=found, failure=failure)

    def next_seconds(self, record: Record) -> float:
        """What the cell's next visit will take."""
        call, sampling = self.seconds(record) or 0.0, self._profile.sampling
        return time_estimate.visit_seconds(call, sampling, memory=record.memory is None)

    def to_come(self, cell: Cell) -> tuple[int, float]:
        """The visits that the cell still needs, and the seconds that they will take."""
        if cell not in self._ahead:
            self._ahead[cell] = self._to_come(self._records[cell])
        return self._ahead[cell]

    def all_to_come(self) -> tuple[int, float]:
        visits, seconds = map(sum, zip(*map(self.to_come, self._records), strict=True))
        return int(visits), seconds

    def _to_come(self, record: Record) -> tuple[int, float]:
        settled = record.failure is not None or record.prediction is not None
        if settled or record.cell in self._skipped:
            return 0, 0.0
        sampling = self._profile.sampling
        rounds = max(0, sampling.rounds - len(record.rounds))
        first = rounds > 0 and record.memory is None
        call = self.seconds(record) or 0.0
        return rounds + first, time_estimate.visits_seconds(
            call, sampling, rounds=rounds, memory=first
        )
