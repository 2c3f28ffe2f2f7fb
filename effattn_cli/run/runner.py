"""Schedules a sweep: counts every cell, measures its memory, then visits all in shuffled rounds.

The parent sleeps while a child measures. Whatever a visit found is saved before the next begins.
"""

import random
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from effattn_cli.analyse import predict, roofline
from effattn_cli.analyse.statistics import slow_rounds
from effattn_cli.records import Cell, Failure, Profile, Record, Roofline
from effattn_cli.run import ledger, limits, rooflines, verdict
from effattn_cli.run.events import Step
from effattn_cli.run.launch import Job, Launcher

COUNT_SECONDS = 120.0  # for counting all cells together; each takes milliseconds
COMPILE_SECONDS = 300.0  # beyond the time limit, for a compiled cell
WARM_SECONDS = 0.2
OVERHEAD = 0.03  # seconds to fork a process and end it
HEADROOM = 1.25  # a retained heap holds more than what is alive


class Runner:
    """One sweep over the records of `profile`, which may be finished in part."""

    def __init__(
        self,
        profile: Profile,
        launcher: Launcher,
        *,
        memory_limit: int,
        save: Callable[[Profile], None],
        watch: Callable[[Step], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profile = profile
        self._sampling = profile.sampling
        self._launcher = launcher
        self._memory_limit = memory_limit
        self._save = save
        self._watch = watch
        self._clock = clock
        self._start = clock()
        self._done = 0
        self._records = {record.cell: record for record in profile.records}
        self._lines: dict[str, list[Cell]] = {}
        for cell in self._records:
            self._lines.setdefault(cell.line, []).append(cell)
        self._expected: dict[Cell, float | None] = {}  # seconds of a call, as known now
        self._skipped: set[Cell] = set()  # too costly to visit: predicted in the end
        self._ahead: dict[Cell, tuple[int, float]] = {}  # visits to come, and their seconds

    def run(self) -> Profile:
        """Measures what is missing, and predicts what would cost too much."""
        self.count()
        self._measure_memory()
        for number in range(1, self._sampling.rounds + 1):
            self._round(number)
        self._once_more()
        self._predict()
        self._profile = replace(self._current(), finished=True)
        self._save(self._profile)
        return self._profile

    def count(self) -> Profile:
        """Counts what each cell costs and needs; cells that cannot fit settle at once."""
        self._measure_rooflines()
        left = [record for record in self._open() if record.cost is None]
        by_plugin: dict[str | None, list[Record]] = {}
        for record in left:  # the bundled ones together; what a plugin does harms only its own
            by_plugin.setdefault(self._payload(record.cell)["path"], []).append(record)
        for path, records in by_plugin.items():
            self._count(records, COUNT_SECONDS if path is None else self._sampling.time_limit)
        self._save(self._current())
        return self._current()

    def _count(self, left: list[Record], seconds: float) -> None:
        """Counts these cells, in one process while none takes it down."""
        while left:
            payload = {"cells": [self._payload(record.cell) for record in left]}
            reply = self._launcher.run(
                Job(name="count", payload=payload, timeout=seconds, memory=self._memory_limit)
            )
            for record, told in zip(left, reply.answers, strict=False):
                self._set(ledger.counted(record, told, self._limit(record.cell)))
                if self._records[record.cell].failure is not None:
                    self._tell(self._records[record.cell], "counting")
            left = left[len(reply.answers) :]
            blamed = left if reply.timed_out else left[:1]  # the next ones can do without it
            why = "it took too long" if reply.timed_out else "the process ended"
            for record in blamed:
                self._set(ledger.warned(record, f"its cost could not be counted: {why}"))
            left = left[len(blamed) :]

    def _measure_rooflines(self) -> None:
        """Those of the places that the sweep measures at and that are not known from before."""
        places = {(r.cell.device, r.cell.dtype, r.cell.threads): r.cell for r in self._open()}
        known = self._profile.rooflines
        for place, cell in places.items():
            if roofline.of(cell, known) is None:
                known = (*known, *rooflines.measure(self._launcher, *place))
        self._profile = replace(self._profile, rooflines=known)

    def _measure_memory(self) -> None:
        """The cheapest cells first: each tells what the next longer one will take."""
        for record in sorted(self._open(), key=lambda r: self.seconds(r) or 0.0):
            if record.memory is None and self._affordable(record):
                self._visit(record, "memory")

    def _round(self, number: int) -> None:
        waiting = [r for r in self._open() if len(r.rounds) < number and r.memory is not None]
        random.Random(self._sampling.seed * 1000 + number).shuffle(waiting)
        for record in waiting:
            if not self._out_of_time(record):
                self._visit(record, f"round {number}/{self._sampling.rounds}")

    def _once_more(self) -> None:
        """A second try, once, for the rounds in which the machine itself was slower."""
        slow = [(record.cell, place) for record, place, _ in slow_rounds(self._open())
                if not record.rounds[place].contended]  # fmt: skip
        random.Random(self._sampling.seed).shuffle(slow)
        for cell, place in slow:
            record = self._records[cell]
            if record.failure is None and not self._out_of_time(record):
                self._visit(record, "once more", partial(ledger.retried, place=place))

    def _visit(
        self, record: Record, stage: str, enter: Callable[..., Record] = ledger.visited
    ) -> None:
        """One process for one cell; its finding goes into the record, and the file."""
        self._tell(record, stage)
        limit = self._sampling.time_limit + (COMPILE_SECONDS if record.cell.compile else 0)
        payload = self._payload(record.cell) | {"sampling": asdict(self._sampling)}
        memory = int(self._limit(record.cell) * HEADROOM)
        job = Job(
            name="memory" if stage == "memory" else "latency",
            payload=payload | {"expected": self.seconds(record), "device_memory": memory},
            timeout=limit,
            memory=memory if record.cell.device == "cpu" else None,
        )
        told = verdict.answer(self._launcher.run(job), limit)
        record = enter(record, told=told)
        self._done += 1
        self._set(record)
        self._save(self._current())
        self._tell(record, stage)

    def _limit(self, cell: Cell) -> int:
        """Bytes that the cell may take where it runs; a limit that was given holds everywhere."""
        if cell.device == "cpu" or self._sampling.memory_limit is not None:
            return self._memory_limit
        return limits.usual_accelerator_limit(self._profile.machine) or self._memory_limit

    def _affordable(self, record: Record) -> bool:
        """Whether the cell fits the limits; if not it is left for prediction, or fails."""
        if shorter := self._stuck(record):
            message = f"not tried: {shorter.cell.seq} tokens already took too long"
            self._set(replace(record, failure=Failure(reason="timeout", message=message)))
            return False
        calls = 1 + 2 * self._sampling.rounds
        fits = (self.seconds(record) or 0.0) * calls <= self._sampling.time_limit
        if fits and not self._out_of_time(record):
            return True
        self._skipped.add(record.cell)
        self._ahead.pop(record.cell, None)
        return False

    def _stuck(self, record: Record) -> Record | None:
        for other in self._curve(record.cell):
            timed_out = other.failure is not None and other.failure.reason == "timeout"
            if timed_out and other.cell.seq < record.cell.seq:
                return other
        return None

    def _out_of_time(self, record: Record) -> bool:
        budget = self._sampling.time_budget
        if budget is None:
            return False
        return self._clock() - self._start + self._visit_seconds(record) > budget

    def _predict(self) -> None:
        """Cells that were not measured: predicted from the same curve, or said to be missing."""
        for record in self._open():
            if record.rounds:
                continue
            expected = self.seconds(record)
            why = "would not fit the time budget" if record.memory else _why(expected)
            curve = self._curve(record.cell)
            found = predict.prediction(record, curve, self.under(record.cell), why)
            message = f"{why}, and no shorter length was measured"
            failure = Failure(reason="too-costly", message=message) if found is None else None
            self._set(replace(record, prediction=found, failure=failure))
            self._tell(self._records[record.cell], "predicting")

    def seconds(self, record: Record) -> float | None:
        """What one call of the cell takes, as far as is known now."""
        known = predict.call_seconds(record)
        if known is not None:
            return known
        cell = record.cell
        if cell not in self._expected:
            self._expected[cell] = predict.seconds(record, self._curve(cell), self.under(cell))
        return self._expected[cell]

    def _curve(self, cell: Cell) -> list[Record]:
        return [self._records[other] for other in self._lines[cell.line]]

    def under(self, cell: Cell) -> Roofline:
        return roofline.of(cell, self._profile.rooflines) or roofline.ANY

    def _visit_seconds(self, record: Record) -> float:
        call = self.seconds(record) or 0.0
        warm, sampled = max(call, WARM_SECONDS), max(call, self._sampling.seconds)
        return OVERHEAD + (2 * call if record.memory is None else warm + sampled)

    def _tell(self, record: Record, stage: str) -> None:
        for cell in self._records.keys() - self._ahead.keys():
            self._ahead[cell] = self._to_come(self._records[cell])
        visits, seconds = map(sum, zip(*self._ahead.values(), strict=True))
        self._watch(
            Step(
                record=record,
                stage=stage,
                done=self._done,
                total=self._done + visits,
                seconds_left=seconds if self._done else None,
                settled=self._ahead[record.cell][0] == 0,
            )
        )

    def _to_come(self, record: Record) -> tuple[int, float]:
        """The visits that the cell still needs, and the seconds that they will take."""
        settled = record.failure is not None or record.prediction is not None
        if settled or record.cell in self._skipped:
            return 0, 0.0
        visits = self._sampling.rounds - len(record.rounds)
        visits += visits > 0 and record.memory is None
        return visits, visits * self._visit_seconds(record)

    def _payload(self, cell: Cell) -> dict[str, Any]:
        known = self._profile.variants[cell.variant]
        return {"cell": asdict(cell), "path": None if known.origin == "bundled" else known.path}

    def _open(self) -> list[Record]:
        return [r for r in self._records.values() if r.failure is None and r.prediction is None]

    def _set(self, record: Record) -> None:
        self._records[record.cell] = record
        self._ahead.pop(record.cell, None)
        if not record.rounds:  # there may be a nearer length to go by now
            for cell in self._lines[record.cell.line]:
                self._expected.pop(cell, None)
                self._ahead.pop(cell, None)

    def _current(self) -> Profile:
        return replace(self._profile, records=tuple(self._records.values()))


def _why(expected: float | None) -> str:
    return f"a call would take about {expected:.1f} s" if expected else "its cost is unknown"
