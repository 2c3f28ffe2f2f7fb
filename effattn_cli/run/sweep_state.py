"""The records of a sweep, and what they let one expect of the cells that are not finished."""

import time
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import islice

from msgspec.structs import replace

from effattn_cli.analysis.completeness import TOO_LATE
from effattn_cli.analysis.cost import prediction, time_estimate, utilisation
from effattn_cli.records import Cell, Failure, Profile, Record, Roofline

REFRESH = 0.5  # seconds for which an estimate of the time left is good enough


class _Curve:
    """Cells that differ in nothing but length and batch: what one takes tells of the next."""

    def __init__(self) -> None:
        self.timed_out: list[Cell] = []
        self._known: dict[tuple[int, int], Cell] = {}  # those whose time is known
        self._order: list[tuple[int, int]] = []  # tokens and length of these, ascending

    def learn(self, record: Record) -> None:
        """What has become known of one of the cells, or is no longer."""
        place = _place(record.cell)
        if record.cost is not None and prediction.call_seconds(record) is not None:
            if place not in self._known:
                insort(self._order, place)
            self._known[place] = record.cell
        elif place in self._known:
            self._order.remove(place)
            del self._known[place]
        if record.failure is not None and record.failure.reason == "timeout":
            self.timed_out.append(record.cell)

    def shorter(self, cell: Cell) -> Iterator[Cell]:
        """Those whose time is known, with no more tokens than the cell, the most tokens first."""
        tokens, _ = _place(cell)
        for number in range(bisect_left(self._order, (tokens + 1, 0)), 0, -1):
            yield self._known[self._order[number - 1]]


def _place(cell: Cell) -> tuple[int, int]:
    return cell.seq * cell.setting.batch, cell.seq


class SweepState:
    """Begins with the records of `profile`; each result that is entered may change it.

    Where `only` is given, the other cells stay as they are: they tell what to expect of these.
    """

    def __init__(
        self,
        profile: Profile,
        clock: Callable[[], float] = time.monotonic,
        only: Collection[Cell] | None = None,
    ) -> None:
        self._profile = profile
        self._only = None if only is None else frozenset(only)
        self._clock = clock
        self._records: dict[Cell, Record] = {}
        self._curves: dict[Cell, _Curve] = {}
        self._curve_of: dict[Cell, _Curve] = {}
        self._skipped: dict[Cell, str] = {}  # not to be measured, and why
        self._left: dict[Cell, int] = {}  # processes that each cell still needs
        self._all_left = 0
        self._seconds: tuple[float, float] | None = None  # left, and when that was worked out
        for record in profile.records:
            self._curve_of[record.cell] = self._curves.setdefault(record.cell.curve, _Curve())
            self.enter(record)

    @property
    def profile(self) -> Profile:
        return replace(self._profile, records=tuple(self._records.values()))

    @property
    def rooflines(self) -> tuple[Roofline, ...]:
        return self._profile.rooflines

    @property
    def open(self) -> list[Record]:
        """Those to be measured that neither failed nor are predicted."""
        return [r for r in self._records.values() if self._is_open(r)]

    def _is_open(self, record: Record) -> bool:
        is_meant = self._only is None or record.cell in self._only
        return is_meant and record.failure is None and record.prediction is None

    def __getitem__(self, cell: Cell) -> Record:
        return self._records[cell]

    def enter(self, record: Record) -> None:
        self._records[record.cell] = record
        self._curve_of[record.cell].learn(record)
        self._recount(record.cell)

    def skip(self, cell: Cell, why: str) -> None:
        """It is not to be measured."""
        self._skipped[cell] = why
        self._recount(cell)

    def allow(self, cell: Cell) -> None:
        """It may be measured after all."""
        if self._skipped.pop(cell, None) is not None:
            self._recount(cell)

    def learn(self, *rooflines: Roofline) -> None:
        self._profile = replace(self._profile, rooflines=(*self._profile.rooflines, *rooflines))
        self._seconds = None

    def stuck(self, cell: Cell) -> Cell | None:
        """A shorter cell of the same curve that took too long, with no larger a batch."""
        for other in self._curve_of[cell].timed_out:
            if other.seq < cell.seq and other.setting.batch <= cell.setting.batch:
                return other
        return None

    def seconds(self, record: Record) -> float | None:
        """What one call of the cell takes, as far as is known now."""
        measured = prediction.call_seconds(record)
        if measured is not None:
            return measured
        nearest = [*islice(self._shorter(record), 1)]
        return prediction.seconds(record, nearest, self.expect(record.cell))

    def sample_seconds(self, record: Record) -> float:
        """What a sample of the cell takes, as far as is known now: a call, or a period of them."""
        return (self.seconds(record) or 0.0) * record.steps

    def _shorter(self, record: Record) -> Iterator[Record]:
        """Records of the same curve that a prediction can rest on, the nearest first."""
        return (self._records[cell] for cell in self._curve_of[record.cell].shorter(record.cell))

    def expect(self, cell: Cell) -> prediction.Expect:
        under = utilisation.of(cell.setting, self._profile.rooflines) or utilisation.ANY
        return partial(utilisation.seconds, roofline=under)

    def predicted(self, record: Record) -> Record:
        """The record with what is expected of it, or else with why there is nothing."""
        why = self._skipped.get(record.cell, TOO_LATE)
        sampled = [*islice((other for other in self._shorter(record) if other.runs), 1)]
        guess = prediction.prediction(record, sampled, self.expect(record.cell), why)
        message = f"{why}, and no shorter length was measured"
        failure = Failure(reason="too-costly", message=message) if guess is None else None
        return replace(record, prediction=guess, failure=failure)

    def next_seconds(self, record: Record) -> float:
        """What the cell's next process will take."""
        call, sampling = self.sample_seconds(record), self._profile.sampling
        return time_estimate.run_seconds(call, sampling, memory=record.memory is None)

    def left(self, cell: Cell) -> int:
        """The processes that the cell still needs."""
        return self._left[cell]

    def all_left(self) -> tuple[int, float]:
        """The processes that all cells still need, and about how many seconds they will take."""
        now = self._clock()
        if self._seconds is None or now - self._seconds[1] > REFRESH:
            self._seconds = sum(map(self.seconds_left, self._records.values())), now
        return self._all_left, self._seconds[0]

    def _recount(self, cell: Cell) -> None:
        record = self._records[cell]
        left = 0
        if self._is_open(record) and cell not in self._skipped:
            runs = max(0, self._profile.sampling.rounds - len(record.runs))
            left = runs + (runs > 0 and record.memory is None)
        self._all_left += left - self._left.get(cell, 0)
        self._left[cell] = left

    def first_seconds(self, record: Record) -> float:
        """What the cell's first run will take, and the memory pass before it if there was none."""
        call, memory = self.sample_seconds(record), record.memory is None
        return time_estimate.runs_seconds(call, self._profile.sampling, runs=1, memory=memory)

    def seconds_left(self, record: Record) -> float:
        """About how many seconds the processes take that the cell still needs."""
        left = self._left[record.cell]
        if not left:
            return 0.0
        memory = record.memory is None
        call = self.sample_seconds(record)
        runs, sampling = left - memory, self._profile.sampling
        return time_estimate.runs_seconds(call, sampling, runs=runs, memory=memory)
