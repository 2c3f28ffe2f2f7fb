"""The jobs that train tiny models: for each task, some learning rates by some seeds."""

from collections.abc import Iterator
from functools import partial

from msgspec.structs import replace

from effattn_cli.evaluate.task_specs import Task
from effattn_cli.evaluation import Ability, Evaluation, Evidence, Training
from effattn_cli.records import Cell, Failure
from effattn_cli.run.evaluator import Step
from effattn_cli.run.jobs import Job, Trained, TrainTiny, task

#: Recurrent mixers learn recall at few learning rates only: one is not enough to judge them by.
RATES = (0.003, 0.01, 0.03)
#: Why a training is missing that a longer limit would bring.
SHORT = {"timeout", "too-costly"}


def wanted(cells: tuple[Cell, ...], task: Task, seeds: range) -> tuple[Evidence, ...]:
    """The evidence that is to be found: for each cell all rates with a seed, then with the next."""
    runs = tuple(Training(rate=rate, seed=seed) for seed in seeds for rate in RATES)
    empty = Ability(task=task.name, loads=task.loads, runs=runs)
    return tuple(Evidence(cell=cell, ability=(empty,)) for cell in cells)


def joined(old: tuple[Ability, ...], new: tuple[Ability, ...]) -> tuple[Ability, ...]:
    """All tasks of either, and of each task all trainings; what the old side knows stays."""
    tasks = {ability.task: ability for ability in old}
    for ability in new:
        there = tasks.get(ability.task, ability)
        done = {(run.rate, run.seed) for run in there.runs}
        more = (run for run in ability.runs if (run.rate, run.seed) not in done)
        tasks[ability.task] = replace(there, runs=(*there.runs, *more))
    return tuple(tasks.values())


def forgotten(ability: Ability) -> Ability:
    """What was asked for, without what was found."""
    runs = tuple(Training(rate=run.rate, seed=run.seed) for run in ability.runs)
    return Ability(task=ability.task, loads=ability.loads, runs=runs)


def is_open(run: Training, *, more_time: bool) -> bool:
    """Whether it is still to be done, or is worth another try: with more time, or where the memory
    was short, which others may have taken.
    """
    if run.failure is not None:
        reason = run.failure.reason
        return reason == "out-of-memory" or (more_time and reason in SHORT)
    return not run.accuracies


def steps(evaluation: Evaluation, seconds: float, memory: int) -> Iterator[Step]:
    """What is left to do, within so many seconds for a task of a variant."""
    for record in evaluation.records:
        for ability in record.ability:
            more_time = ability.budget is not None and seconds > ability.budget
            for number, run in enumerate(ability.runs):
                if is_open(run, more_time=more_time):
                    yield _step(record.cell, evaluation, ability, number, seconds, memory)


def _step(
    cell: Cell, evaluation: Evaluation, ability: Ability, number: int, seconds: float, memory: int
) -> Step:
    run = ability.runs[number]
    clean = Training(rate=run.rate, seed=run.seed)
    request = TrainTiny(task=task(cell, evaluation.variants), synthetic=ability.task, wanted=clean)
    return Step(
        cell=cell,
        what=f"{ability.task}, rate {run.rate:g}, seed {run.seed}",
        job=Job(request=request, timeout=seconds, memory=memory),
        answer=Trained,
        enter=partial(_entered, name=ability.task, number=number, seconds=seconds),
        within=partial(_within, name=ability.task),
    )


def _within(record: Evidence, job: Job, *, name: str) -> Job | Failure:
    """The job with the time that is left of the task's budget."""
    ability = record.able(name)
    assert ability is not None
    left = job.timeout - sum(run.seconds for run in ability.runs)
    if left > 0:
        return replace(job, timeout=left)
    message = f"not tried: the time limit of {job.timeout:g} s is spent"
    return Failure(reason="too-costly", message=message)


def _entered(
    record: Evidence, answer: Trained | Failure, *, name: str, number: int, seconds: float
) -> Evidence:
    ability = record.able(name)
    assert ability is not None
    run, kept = ability.runs[number], record.state_bytes
    if isinstance(answer, Failure):
        spent = seconds if answer.reason == "timeout" else 0.0
        spent = max(0.0, spent - sum(one.seconds for one in ability.runs))
        run = Training(rate=run.rate, seed=run.seed, seconds=spent, failure=answer)
    else:
        run, kept = answer.training, answer.state_bytes
    runs = (*ability.runs[:number], run, *ability.runs[number + 1 :])
    new = replace(ability, runs=runs, budget=seconds)
    abilities = tuple(new if one is ability else one for one in record.ability)
    return replace(record, ability=abilities, state_bytes=kept)
