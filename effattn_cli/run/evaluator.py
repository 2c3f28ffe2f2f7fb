"""Runs the jobs of an evaluation one after the other, and saves what each found out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec.structs import replace

from effattn_cli.evaluation import Evaluation, Evidence
from effattn_cli.records import Cell, Failure
from effattn_cli.run import outcome
from effattn_cli.run.fork_server import Launcher
from effattn_cli.run.jobs import Job


class Saver(Protocol):
    """Where an evaluation is saved: the whole of it, and then what becomes known of cells."""

    def write(self, document: Evaluation) -> None: ...

    def add(self, record: Evidence) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Step:
    """A job, and how its answer is entered in the evidence of its cell."""

    cell: Cell
    what: str  # in a word, for who watches: a regime, a task and its learning rate
    job: Job
    answer: Any  # the type of the answer
    enter: Callable[[Evidence, Any], Evidence]  # of the answer, or a Failure
    #: What the job is by what is known when its turn comes, or why there is none.
    within: Callable[[Evidence, Job], Job | Failure] = lambda _, job: job


@dataclass(frozen=True, kw_only=True)
class Done:
    """What is told of a step that has ended."""

    step: Step
    record: Evidence
    failure: Failure | None
    number: int  # of the step, from 1 on
    total: int


@dataclass
class Evaluator:
    """Runs steps; what was found out is in `evaluation`."""

    evaluation: Evaluation
    launcher: Launcher
    saver: Saver
    watch: Callable[[Done], None]
    _records: dict[Cell, Evidence] = field(init=False)

    def __post_init__(self) -> None:
        self._records = {record.cell: record for record in self.evaluation.records}

    def run(self, steps: Iterable[Step]) -> Evaluation:
        """The evaluation after these steps; it is saved after each."""
        wanted = list(steps)
        for number, step in enumerate(wanted, 1):
            failure = self._take(step)
            record = self._records[step.cell]
            self.watch(
                Done(step=step, record=record, failure=failure, number=number, total=len(wanted))
            )
        self._enter(finished=True)
        self.saver.write(self.evaluation)
        return self.evaluation

    def _take(self, step: Step) -> Failure | None:
        record = self._records[step.cell]
        job = answer = step.within(record, step.job)
        if isinstance(job, Job):
            answer = outcome.answer(self.launcher.run(job), step.answer, job.timeout)
        record = step.enter(record, answer)
        self._records[step.cell] = record
        self.saver.add(record)
        self._enter(finished=False)
        return answer if isinstance(answer, Failure) else None

    def _enter(self, *, finished: bool) -> None:
        records = tuple(self._records.values())
        self.evaluation = replace(self.evaluation, records=records, finished=finished)
