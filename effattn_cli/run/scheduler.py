"""Schedules a sweep: counts every cell, measures its memory, then runs all in shuffled rounds.

The parent sleeps while a child measures. What a process found is saved before the next begins.
"""

import random
from collections.abc import Collection

from msgspec.structs import replace

from effattn_cli import engines
from effattn_cli.analysis.completeness import TOO_LATE
from effattn_cli.analysis.cost import time_estimate, utilisation
from effattn_cli.analysis.reliability import slow_runs
from effattn_cli.records import Cell, Failure, Profile, Record
from effattn_cli.run import cell_counts, kept_rooflines, outcome, results
from effattn_cli.run.context import RunContext
from effattn_cli.run.events import RETRY, Step
from effattn_cli.run.jobs import (
    Job,
    MeasureLatency,
    MeasureMemory,
    Task,
    Timed,
    Watched,
    task,
)
from effattn_cli.run.memory_limits import MemoryLimits
from effattn_cli.run.sweep_state import SweepState


class Scheduler:
    """One sweep over the records of `profile`, which may be finished in part; if `only` is given,
    over these cells.
    """

    def __init__(
        self, profile: Profile, context: RunContext, only: Collection[Cell] | None = None
    ) -> None:
        self._sampling = profile.sampling
        self._variants = profile.variants
        self._context = context
        self._limits = MemoryLimits(
            here=context.memory_limit,
            machine=profile.machine,
            is_given=profile.sampling.memory_limit is not None,
        )
        self._start = context.clock()
        self._done = 0
        self._retries = 0  # second tries that are still to come
        self.state = SweepState(profile, context.clock, only)

    def run(self) -> Profile:
        """Measures what is missing, and predicts what would cost too much."""
        self.count()
        self._start = self._context.clock()  # a time budget is for measuring, not for counting
        if self._sampling.time_budget is None:
            self._measure_memory()
        else:
            self._first_runs(self._sampling.time_budget)
        self._measure_latency()
        self._once_more()
        self._predict()
        profile = self.state.profile
        whole = all(record.status != "pending" for record in profile.records)
        finished = replace(profile, finished=whole)
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
            is_bundled = self._variants[name].plugin is None
            usual = cell_counts.SECONDS * len(records)
            seconds = usual if is_bundled else self._sampling.time_limit
            for counted in cell_counts.counted(
                records, self._variants, self._context, self._limits, seconds
            ):
                self.state.enter(counted)
                if counted.failure is not None:
                    self._tell(counted, "counting")
        profile = self.state.profile
        self._context.saver.write(profile)
        return profile

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

    def _measure_memory(self) -> None:
        """The cheapest cells first: each tells what the next longer one will take."""
        for record in self._by_cost():
            if record.memory is None and self._affordable(record):
                self._enter(results.watched(record, self._watch(record)), "memory")

    def _first_runs(self, budget: float) -> None:
        """With a time budget every cell gets its first run before any gets a second.

        The baseline comes first, as the others are compared with it, while its cells take no more
        than half of the budget; then come all that are left, the cheapest first.
        """
        baseline = self.state.profile.baseline
        for record in self._by_cost():
            if record.cell.label == baseline:
                self._first_run(record, budget / 2)
        while sum(self._first_run(record, budget) for record in self._by_cost()):
            pass  # what was measured meanwhile may say that another one fits

    def _first_run(self, record: Record, budget: float) -> bool:
        """The memory pass of a cell and its first run, if both would end within the budget."""
        if record.runs or not self._affordable(record, budget):
            return False
        if record.memory is None:
            self._enter(results.watched(record, self._watch(record)), "memory")
            record = self.state[record.cell]
        if record.failure is None and not self._out_of_time(record):
            stage = self._stage(1)
            self._enter(results.timed(record, self._time(record, stage)), stage)
        return True

    def _by_cost(self) -> list[Record]:
        return sorted(self.state.open, key=lambda record: self.state.seconds(record) or 0.0)

    def _measure_latency(self) -> None:
        for number in range(1, self._sampling.rounds + 1):
            self._round(number)

    def _round(self, number: int) -> None:
        waiting = [r for r in self.state.open if len(r.runs) < number and r.memory is not None]
        random.Random(self._sampling.seed * 1000 + number).shuffle(waiting)
        stage = self._stage(number)
        for record in waiting:
            if not self._out_of_time(record):
                self._enter(results.timed(record, self._time(record, stage)), stage)

    def _stage(self, number: int) -> str:
        return f"round {number}/{self._sampling.rounds}"

    def _once_more(self) -> None:
        """A second try, once, for the runs in which the machine itself was slower."""
        slow = []
        for record, index, _ in slow_runs(self.state.open):
            if not record.runs[index].discarded:
                slow.append((record.cell, index))
        random.Random(self._sampling.seed).shuffle(slow)
        self._retries = len(slow)
        for cell, index in slow:
            record = self.state[cell]
            if record.failure is None and not self._out_of_time(record):
                answer = self._time(record, RETRY)
                self._retries -= 1
                self._enter(results.retried(record, index, answer), RETRY)
            else:
                self._retries -= 1

    def _watch(self, record: Record) -> Watched | Failure:
        """The memory pass of a cell, in a process of its own."""
        self._tell(record, "memory", starts=True)
        request = MeasureMemory(
            task=self._task(record.cell),
            sampling=self._sampling,
            expected=self.state.seconds(record),
            device_memory=self._limits.of_device(record.cell),
        )
        job = self._job(request, record)
        return outcome.answer(self._context.launcher.run(job), Watched, job.timeout)

    def _time(self, record: Record, stage: str) -> Timed | Failure:
        """One run of a cell, in a process of its own."""
        self._tell(record, stage, starts=True)
        request = MeasureLatency(
            task=self._task(record.cell),
            sampling=self._sampling,
            device_memory=self._limits.of_device(record.cell),
        )
        job = self._job(request, record)
        return outcome.answer(self._context.launcher.run(job), Timed, job.timeout)

    def _job(self, request: MeasureMemory | MeasureLatency, record: Record) -> Job:
        engine = engines.load(record.cell.setting.engine)
        on_cpu = record.cell.setting.device == "cpu"
        return Job(
            request=request,
            timeout=self._sampling.time_limit + engine.PREPARING,
            memory=self._limits.of_process(record) + engine.ROOM if on_cpu else None,
        )

    def _enter(self, record: Record, stage: str) -> None:
        """What is known of a cell now goes into the state, and into the file."""
        self._done += 1
        self.state.enter(record)
        self._context.saver.add(record)
        self._tell(record, stage)

    def _affordable(self, record: Record, budget: float | None = None) -> bool:
        """Whether the cell fits the limits, and its first run the budget; if not it is left for
        prediction, or fails.
        """
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
        if self._over_budget(self.state.first_seconds(record), budget):
            self.state.skip(record.cell, TOO_LATE)
            return False
        return True

    def _out_of_time(self, record: Record) -> bool:
        return self._over_budget(self.state.next_seconds(record), self._sampling.time_budget)

    def _over_budget(self, seconds: float, budget: float | None) -> bool:
        """Whether so much more would not end within the budget."""
        return budget is not None and self._context.clock() - self._start + seconds > budget

    def _predict(self) -> None:
        """Cells that were not measured: predicted from the same curve, or said to be missing."""
        for record in self.state.open:
            if not record.runs:
                predicted = self.state.predicted(record)
                self.state.enter(predicted)
                self._tell(predicted, "predicting")

    def _tell(self, record: Record, stage: str, *, starts: bool = False) -> None:
        left, seconds = self.state.all_left()
        self._context.watch(
            Step(
                record=record,
                stage=stage,
                done=self._done,
                total=self._done + left + self._retries,
                seconds_left=seconds if self._done else None,
                settled=not starts and self.state.left(record.cell) == 0,
            )
        )

    def _task(self, cell: Cell) -> Task:
        return task(cell, self._variants)


def _seconds(call: float) -> str:
    return f"{call:.1f} s" if call >= 0.1 else f"{1e3 * call:.2g} ms"
