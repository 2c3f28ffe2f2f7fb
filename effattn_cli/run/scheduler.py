"""Schedules a sweep: counts every cell, measures its memory, then visits all in shuffled rounds.

The parent sleeps while a child measures. Whatever a visit found is saved before the next begins.
"""

import random
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from effattn_cli.analysis.cost import time_estimate, utilisation
from effattn_cli.analysis.reliability import slow_rounds
from effattn_cli.host import processes
from effattn_cli.records import Cell, Failure, Profile, Record
from effattn_cli.run import kept_rooflines, outcome, results
from effattn_cli.run.context import Rig
from effattn_cli.run.events import Step
from effattn_cli.run.fork_server import Job
from effattn_cli.run.sweep_state import TOO_LATE, Outlook

COUNT_SECONDS = 120.0  # for counting a variant's cells; each takes milliseconds
COMPILE_SECONDS = 300.0  # beyond the time limit, for a compiled cell
HEADROOM = 1.25  # a retained heap holds more than what is alive


class Runner:
    """One sweep over the records of `profile`, which may be finished in part."""

    def __init__(self, profile: Profile, rig: Rig) -> None:
        self._sampling = profile.sampling
        self._machine = profile.machine
        self._variants = profile.variants
        self._rig = rig
        self._start = rig.clock()
        self._done = 0
        self.outlook = Outlook(profile)

    def run(self) -> Profile:
        """Measures what is missing, and predicts what would cost too much."""
        self.count()
        self._measure_memory()
        for number in range(1, self._sampling.rounds + 1):
            self._round(number)
        self._once_more()
        self._predict()
        finished = replace(self.outlook.profile, finished=True)
        self._rig.save(finished)
        return finished

    def count(self) -> Profile:
        """Counts what each cell costs and needs; cells that cannot fit settle at once."""
        self._measure_rooflines()
        by_variant: dict[str, list[Record]] = {}  # what one does harms no other
        for record in self.outlook.open:
            if record.cost is None:
                by_variant.setdefault(record.cell.variant, []).append(record)
        for name, records in by_variant.items():
            self._tell(records[0], "counting")
            bundled = self._variants[name].plugin is None
            self._count(records, COUNT_SECONDS if bundled else self._sampling.time_limit)
        self._rig.save(self.outlook.profile)
        return self.outlook.profile

    def _count(self, left: list[Record], seconds: float) -> None:
        """Counts these cells, in one process while none takes it down."""
        while left:
            payload = {"cells": [self._payload(record.cell) for record in left]}
            reply = self._rig.launcher.run(
                Job(name="count", payload=payload, timeout=seconds, memory=self._rig.memory_limit)
            )
            for record, told in zip(left, reply.answers, strict=False):
                found = results.counted(record, told, self._limit(record.cell))
                self.outlook.enter(found)
                if found.failure is not None:
                    self._tell(found, "counting")
            left = left[len(reply.answers) :]
            blamed = left if reply.timed_out else left[:1]  # the next ones can do without it
            why = "it took too long" if reply.timed_out else "the process ended"
            for record in blamed:
                self.outlook.enter(results.warned(record, f"its cost could not be counted: {why}"))
            left = left[len(blamed) :]

    def _measure_rooflines(self) -> None:
        """Those of the places that the sweep measures at and that are not known from before."""
        places = {(r.cell.device, r.cell.dtype, r.cell.threads): r.cell for r in self.outlook.open}
        for place, cell in places.items():
            if utilisation.of(cell, self.outlook.rooflines) is None:
                self.outlook.learn(*kept_rooflines.measure(self._rig.launcher, *place))

    def _measure_memory(self) -> None:
        """The cheapest cells first: each tells what the next longer one will take."""
        for record in sorted(self.outlook.open, key=lambda r: self.outlook.seconds(r) or 0.0):
            if record.memory is None and self._affordable(record):
                self._visit(record, "memory")

    def _round(self, number: int) -> None:
        waiting = [r for r in self.outlook.open if len(r.rounds) < number and r.memory is not None]
        random.Random(self._sampling.seed * 1000 + number).shuffle(waiting)
        for record in waiting:
            if not self._out_of_time(record):
                self._visit(record, f"round {number}/{self._sampling.rounds}")

    def _once_more(self) -> None:
        """A second try, once, for the rounds in which the machine itself was slower."""
        slow = [(record.cell, place) for record, place, _ in slow_rounds(self.outlook.open)
                if not record.rounds[place].contended]  # fmt: skip
        random.Random(self._sampling.seed).shuffle(slow)
        for cell, place in slow:
            record = self.outlook[cell]
            if record.failure is None and not self._out_of_time(record):
                self._visit(record, "once more", partial(results.retried, place=place))

    def _visit(
        self, record: Record, stage: str, enter: Callable[..., Record] = results.visited
    ) -> None:
        """One process for one cell; its finding goes into the record, and the file."""
        self._tell(record, stage)
        limit = self._sampling.time_limit + (COMPILE_SECONDS if record.cell.compile else 0)
        payload = self._payload(record.cell) | {"sampling": asdict(self._sampling)}
        memory = int(self._limit(record.cell) * HEADROOM)
        expected = self.outlook.seconds(record)
        job = Job(
            name="memory" if stage == "memory" else "latency",
            payload=payload | {"expected": expected, "device_memory": memory},
            timeout=limit,
            memory=memory if record.cell.device == "cpu" else None,
        )
        told = outcome.answer(self._rig.launcher.run(job), limit)
        record = enter(record, told=told)
        self._done += 1
        self.outlook.enter(record)
        self._rig.save(self.outlook.profile)
        self._tell(record, stage)

    def _limit(self, cell: Cell) -> int:
        """Bytes that the cell may take where it runs; a limit that was given holds everywhere."""
        if cell.device == "cpu" or self._sampling.memory_limit is not None:
            return self._rig.memory_limit
        return processes.usual_accelerator_limit(self._machine) or self._rig.memory_limit

    def _affordable(self, record: Record) -> bool:
        """Whether the cell fits the limits; if not it is left for prediction, or fails."""
        if shorter := self._stuck(record):
            message = f"not tried: {shorter.cell.seq} tokens already took too long"
            failure = Failure(reason="timeout", message=message)
            self.outlook.enter(replace(record, failure=failure))
            return False
        call = self.outlook.seconds(record) or 0.0
        if not time_estimate.affordable(call, self._sampling):
            self.outlook.skip(record.cell, f"a call would take about {_seconds(call)}")
            return False
        if self._out_of_time(record):
            self.outlook.skip(record.cell, TOO_LATE)
            return False
        return True

    def _stuck(self, record: Record) -> Record | None:
        for other in self.outlook.curve(record.cell):
            timed_out = other.failure is not None and other.failure.reason == "timeout"
            shorter = other.cell.seq < record.cell.seq and other.cell.batch <= record.cell.batch
            if timed_out and shorter:
                return other
        return None

    def _out_of_time(self, record: Record) -> bool:
        budget = self._sampling.time_budget
        if budget is None:
            return False
        return self._rig.clock() - self._start + self.outlook.next_seconds(record) > budget

    def _predict(self) -> None:
        """Cells that were not measured: predicted from the same curve, or said to be missing."""
        for record in self.outlook.open:
            if not record.rounds:
                found = self.outlook.predicted(record)
                self.outlook.enter(found)
                self._tell(found, "predicting")

    def _tell(self, record: Record, stage: str) -> None:
        visits, seconds = self.outlook.all_to_come()
        self._rig.watch(
            Step(
                record=record,
                stage=stage,
                done=self._done,
                total=self._done + visits,
                seconds_left=seconds if self._done else None,
                settled=self.outlook.to_come(record.cell)[0] == 0,
            )
        )

    def _payload(self, cell: Cell) -> dict[str, Any]:
        return {"cell": asdict(cell), "path": self._variants[cell.variant].plugin}


def _seconds(call: float) -> str:
    return f"{call:.1f} s" if call >= 0.1 else f"{1e3 * call:.2g} ms"
