"""Schedules a sweep: counts every cell, measures its memory, then runs all in shuffled rounds.

The parent sleeps while a child measures. What a process found is saved before the next begins.
"""

import random
from collections.abc import Sequence

from msgspec.structs import replace

from effattn_cli import engines
from effattn_cli.analysis.cost import time_estimate, utilisation
from effattn_cli.analysis.reliability import slow_runs
from effattn_cli.host import processes
from effattn_cli.records import Cell, Failure, Profile, Record
from effattn_cli.run import kept_rooflines, outcome, results
from effattn_cli.run.context import RunContext
from effattn_cli.run.events import Step
from effattn_cli.run.jobs import (
    CountCost,
    Counted,
    Job,
    MeasureLatency,
    MeasureMemory,
    Task,
    Timed,
    Watched,
    task,
)
from effattn_cli.run.sweep_state import TOO_LATE, SweepState

COUNT_SECONDS = 120.0  # for counting a variant's cells; each takes milliseconds
HEADROOM = 1.25  # of an accelerator's memory: its allocator holds more than what is alive


class Scheduler:
    """One sweep over the records of `profile`, which may be finished in part."""

    def __init__(self, profile: Profile, context: RunContext) -> None:
        self._sampling = profile.sampling
        self._machine = profile.machine
        self._variants = profile.variants
        self._context = context
        self._start = context.clock()
        self._done = 0
        self.state = SweepState(profile, context.clock)

    def run(self) -> Profile:
        """Measures what is missing, and predicts what would cost too much."""
        self.count()
        self._measure_memory()
        self._measure_latency()
        while self._measure_memory():  # the rounds have left some of a time budget
            self._measure_latency()
        self._once_more()
        self._predict()
        finished = replace(self.state.profile, finished=True)
        self._context.saver.write(finished)
        return finished

    def count(self) -> Profile:
        """Counts what each cell costs and needs; cells that cannot fit settle at once."""
        self._measure_rooflines()
        by_variant: dict[str, list[Record]] = {}  # what one does harms no other
        for record in self.state.open:
            if record.cost is None:
                by_variant.setdefault(record.cell.variant, []).append(record)
        for name, records in by_variant.items():
            self._tell(records[0], "counting")
            bundled = self._variants[name].plugin is None
            self._count(records, COUNT_SECONDS if bundled else self._sampling.time_limit)
        profile = self.state.profile
        self._context.saver.write(profile)
        return profile

    def _count(self, left: Sequence[Record], seconds: float) -> None:
        """Counts these cells, in one process while none takes it down."""
        while left:
            tasks = tuple(self._task(record.cell) for record in left)
            job = Job(request=CountCost(tasks=tasks), timeout=seconds, memory=self._net())
            reply = self._context.launcher.run(job)
            for record, raw in zip(left, reply.answers, strict=False):
                answer = outcome.decoded(raw, Counted)
                counted = results.counted(record, answer, self._limit(record.cell))
                self.state.enter(counted)
                if counted.failure is not None:
                    self._tell(counted, "counting")
            left = left[len(reply.answers) :]
            blamed = left if reply.timed_out else left[:1]  # the next ones can do without it
            why = "it took too long" if reply.timed_out else "the process ended"
            for record in blamed:
                warning = f"its cost could not be counted: {why}"
                self.state.enter(results.warned(record, warning))
            left = left[len(blamed) :]

    def _measure_rooflines(self) -> None:
        """Those that the sweep's cells run under and that are not known from before."""
        for setting in {record.cell.setting: None for record in self.state.open}:
            if utilisation.of(setting, self.state.rooflines) is None:
                launcher = self._context.launcher
                self.state.learn(
                    *kept_rooflines.measure(
                        launcher, setting.device, setting.dtype, setting.threads
                    )
                )

    def _measure_memory(self) -> bool:
        """The cheapest cells first: each tells what the next longer one will take.

        With a time budget a cell is let in where its rounds fit as well, beside those of the cells
        before it: what has no round is no answer. False: no further cell was let in.
        """
        promised, any_let_in = 0.0, False  # seconds of the rounds of those that are let in
        for record in sorted(self.state.open, key=lambda r: self.state.seconds(r) or 0.0):
            beyond = 0.0  # seconds that a process takes here beside what is expected of its calls
            if record.memory is None:
                if not self._affordable(record, promised):
                    continue
                begun, expected = self._context.clock(), self.state.next_seconds(record)
                answer, any_let_in = self._watch(record), True
                self._enter(results.watched(record, answer), "memory")
                beyond = max(0.0, self._context.clock() - begun - expected)
            rounds = self.state.left(record.cell)
            promised += self.state.seconds_left(self.state[record.cell]) + rounds * beyond
        return any_let_in

    def _measure_latency(self) -> None:
        for number in range(1, self._sampling.rounds + 1):
            self._round(number)

    def _round(self, number: int) -> None:
        waiting = [r for r in self.state.open if len(r.runs) < number and r.memory is not None]
        random.Random(self._sampling.seed * 1000 + number).shuffle(waiting)
        stage = f"round {number}/{self._sampling.rounds}"
        for record in waiting:
            if not self._out_of_time(record):
                self._enter(results.timed(record, self._time(record, stage)), stage)

    def _once_more(self) -> None:
        """A second try, once, for the runs in which the machine itself was slower."""
        slow = []
        for record, place, _ in slow_runs(self.state.open):
            if not record.runs[place].discarded:
                slow.append((record.cell, place))
        random.Random(self._sampling.seed).shuffle(slow)
        for cell, place in slow:
            record = self.state[cell]
            if record.failure is None and not self._out_of_time(record):
                answer = self._time(record, "once more")
                self._enter(results.retried(record, place, answer), "once more")

    def _watch(self, record: Record) -> Watched | Failure:
        """The memory pass of a cell, in a process of its own."""
        self._tell(record, "memory")
        request = MeasureMemory(
            task=self._task(record.cell),
            sampling=self._sampling,
            expected=self.state.seconds(record),
            device_memory=self._device_memory(record.cell),
        )
        job = self._job(request, record)
        return outcome.answer(self._context.launcher.run(job), Watched, job.timeout)

    def _time(self, record: Record, stage: str) -> Timed | Failure:
        """One run of a cell, in a process of its own."""
        self._tell(record, stage)
        request = MeasureLatency(
            task=self._task(record.cell),
            sampling=self._sampling,
            device_memory=self._device_memory(record.cell),
        )
        job = self._job(request, record)
        return outcome.answer(self._context.launcher.run(job), Timed, job.timeout)

    def _job(self, request: MeasureMemory | MeasureLatency, record: Record) -> Job:
        cell = record.cell
        on_cpu = cell.setting.device == "cpu"
        return Job(
            request=request,
            timeout=self._sampling.time_limit + engines.load(cell.setting.engine).PREPARING,
            memory=self._net(record) if on_cpu else None,
        )

    def _enter(self, record: Record, stage: str) -> None:
        """What is known of a cell now goes into the state, and into the file."""
        self._done += 1
        self.state.enter(record)
        self._context.saver.add(record)
        self._tell(record, stage)

    def _net(self, record: Record | None = None) -> int:
        """Bytes of the machine's own memory for a process that holds one cell, or only counts."""
        limit = self._context.memory_limit
        if record is None:
            return processes.with_allowance(limit)
        threads = record.cell.setting.threads
        return processes.with_allowance(limit, threads=threads, needs=record.needs_bytes)

    def _device_memory(self, cell: Cell) -> int:
        return int(self._limit(cell) * HEADROOM)

    def _limit(self, cell: Cell) -> int:
        """Bytes that the cell may take where it runs; a limit that was given holds everywhere."""
        if cell.setting.device == "cpu" or self._sampling.memory_limit is not None:
            return self._context.memory_limit
        return processes.usual_accelerator_limit(self._machine) or self._context.memory_limit

    def _affordable(self, record: Record, promised: float) -> bool:
        """Whether the cell fits the limits; if not it is left for prediction, or fails."""
        if shorter := self.state.stuck(record.cell):
            message = f"not tried: {shorter.seq} tokens already took too long"
            failure = Failure(reason="timeout", message=message)
            self.state.enter(replace(record, failure=failure))
            return False
        seconds = self.state.sample_seconds(record)
        if not time_estimate.affordable(seconds, self._sampling):
            what = "a call" if record.steps == 1 else f"a period of {record.steps} steps"
            self.state.skip(record.cell, f"{what} would take about {_seconds(seconds)}")
            return False
        self.state.allow(record.cell)
        if self._over_budget(promised + self.state.seconds_left(record)):
            self.state.skip(record.cell, TOO_LATE)
            return False
        return True

    def _out_of_time(self, record: Record) -> bool:
        return self._over_budget(self.state.next_seconds(record))

    def _over_budget(self, seconds: float) -> bool:
        """Whether so much more would not end within the time budget."""
        budget = self._sampling.time_budget
        return budget is not None and self._context.clock() - self._start + seconds > budget

    def _predict(self) -> None:
        """Cells that were not measured: predicted from the same curve, or said to be missing."""
        for record in self.state.open:
            if not record.runs:
                predicted = self.state.predicted(record)
                self.state.enter(predicted)
                self._tell(predicted, "predicting")

    def _tell(self, record: Record, stage: str) -> None:
        left, seconds = self.state.all_left()
        self._context.watch(
            Step(
                record=record,
                stage=stage,
                done=self._done,
                total=self._done + left,
                seconds_left=seconds if self._done else None,
                settled=self.state.left(record.cell) == 0,
            )
        )

    def _task(self, cell: Cell) -> Task:
        return task(cell, self._variants)


def _seconds(call: float) -> str:
    return f"{call:.1f} s" if call >= 0.1 else f"{1e3 * call:.2g} ms"
