"""The trainings of an evaluation: which are done, in which order, within which time, and again."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from effattn_cli import store
from effattn_cli.evaluate.task_specs import TASKS
from effattn_cli.evaluation import Ability, Evaluation, Training
from effattn_cli.run import ability_steps
from effattn_cli.run.ability_steps import RATES
from effattn_cli.run.evaluator import Done, Evaluator
from effattn_cli.run.jobs import Job, Reply, Trained, TrainTiny
from tests.builders import a_cell, an_evaluation
from tests.fake_launcher import answering, refusing

RECALL = TASKS["recall"]


class Launcher:
    """Plays the trainings, each of which takes so many seconds. `trouble` may answer instead."""

    def __init__(
        self, seconds: float = 1.0, trouble: Callable[[int], Reply | None] = lambda _: None
    ) -> None:
        self.seconds, self.trouble = seconds, trouble
        self.jobs: list[Job] = []

    def run(self, job: Job) -> Reply:
        self.jobs.append(job)
        assert isinstance(job.request, TrainTiny)
        wanted = job.request.wanted
        found = self.trouble(len(self.jobs))
        if found is not None:
            return found
        if self.seconds > job.timeout:
            return Reply(exit=None)
        accuracies = tuple(wanted.rate / (load + wanted.seed) for load in RECALL.loads)
        done = replace(wanted, accuracies=accuracies, steps_to_90=7, seconds=self.seconds)
        return answering(Trained(training=done, state_bytes=640))

    @property
    def trained(self) -> list[tuple[str, float, int]]:
        requests = [job.request for job in self.jobs if isinstance(job.request, TrainTiny)]
        return [(r.task.cell.variant, r.wanted.rate, r.wanted.seed) for r in requests]


def asked(*labels: str, seeds: int = 2) -> Evaluation:
    cells = tuple(a_cell(label, 128) for label in labels)
    return an_evaluation(*ability_steps.wanted(cells, RECALL, range(seeds)))


def done(
    evaluation: Evaluation, launcher: Launcher, path: Path, seconds: float = 100.0
) -> Evaluation:
    evaluation = replace(evaluation, finished=False)
    saver = store.Writer(path)
    saver.write(evaluation)
    watched: list[Done] = []
    try:
        steps = ability_steps.steps(evaluation, seconds, 2**30)
        return Evaluator(evaluation, launcher, saver, watched.append).run(steps)
    finally:
        saver.close()


def recall_of(evaluation: Evaluation, place: int = 0) -> Ability:
    found = evaluation.records[place].able("recall")
    assert found is not None
    return found


def test_every_rate_comes_with_a_seed_before_the_next_seed(tmp_path: Path) -> None:
    launcher = Launcher()
    found = done(asked("sdpa"), launcher, tmp_path / "e.yaml")
    assert launcher.trained == [("sdpa", rate, seed) for seed in (0, 1) for rate in RATES]
    ability = recall_of(found)
    assert all(run.accuracies and run.steps_to_90 == 7 for run in ability.runs)
    assert (ability.loads, ability.budget) == (RECALL.loads, 100.0)
    assert found.records[0].state_bytes == 640
    assert store.read_evaluation(tmp_path / "e.yaml") == found


@pytest.mark.parametrize("after", [1, 4, 7, 12])
def test_what_was_cut_short_ends_as_if_it_had_not_been(tmp_path: Path, after: int) -> None:
    whole = done(asked("sdpa", "linformer"), Launcher(), tmp_path / "whole.yaml")

    def interrupts(number: int) -> None:
        if number == after:
            raise KeyboardInterrupt

    path = tmp_path / "e.yaml"
    with pytest.raises(KeyboardInterrupt):
        done(asked("sdpa", "linformer"), Launcher(trouble=interrupts), path)
    launcher = Launcher()
    resumed = done(store.read_evaluation(path), launcher, path)
    assert resumed == whole
    assert len(launcher.jobs) == 12 - (after - 1)


def test_what_is_known_is_not_trained_again(tmp_path: Path) -> None:
    first = done(asked("sdpa"), Launcher(), tmp_path / "e.yaml")
    launcher = Launcher()
    assert done(first, launcher, tmp_path / "e.yaml") == first
    assert not launcher.jobs


def test_all_trainings_of_a_task_share_its_time(tmp_path: Path) -> None:
    launcher = Launcher(seconds=30.0)
    found = done(asked("sdpa"), launcher, tmp_path / "e.yaml", seconds=100.0)
    assert [job.timeout for job in launcher.jobs] == [100.0, 70.0, 40.0, 10.0]
    reasons = [run.failure and run.failure.reason for run in recall_of(found).runs]
    assert reasons == [None, None, None, "timeout", "too-costly", "too-costly"]


def test_with_more_time_what_was_missing_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    first = done(asked("sdpa"), Launcher(seconds=30.0), path, seconds=100.0)
    launcher = Launcher(seconds=30.0)
    assert done(first, launcher, path, seconds=100.0) == first
    second = done(first, launcher, path, seconds=400.0)
    assert len(launcher.jobs) == 3
    assert all(run.accuracies for run in recall_of(second).runs)
    assert recall_of(second).budget == 400.0


def test_more_seeds_and_tasks_are_added_to_what_is_known(tmp_path: Path) -> None:
    first = done(asked("sdpa"), Launcher(), tmp_path / "e.yaml").records[0].ability
    more = asked("sdpa", seeds=3).records[0].ability
    update = Ability(task="update", loads=TASKS["update"].loads)
    together, other = ability_steps.joined(first, (*more, update))
    assert together.runs[:6] == first[0].runs
    assert [(run.rate, run.seed) for run in together.runs[6:]] == [(rate, 2) for rate in RATES]
    assert other == update
    assert ability_steps.joined(first, first) == first


def test_a_failure_is_of_its_training_alone(tmp_path: Path) -> None:
    launcher = Launcher(trouble=lambda n: refusing("not-finite", "no") if n == 2 else None)
    runs = recall_of(done(asked("sdpa"), launcher, tmp_path / "e.yaml")).runs
    assert [run.failure is None for run in runs] == [True, False, *[True] * 4]
    assert runs[1].failure is not None
    assert (runs[1].rate, runs[1].seed, runs[1].failure.message) == (RATES[1], 0, "no")


def test_what_the_machine_had_no_memory_for_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    starved = Launcher(trouble=lambda n: Reply(exit=-9, starved=True) if n == 3 else None)
    first = done(asked("sdpa"), starved, path)
    failure = recall_of(first).runs[2].failure
    assert failure is not None
    assert failure.reason == "out-of-memory"
    launcher = Launcher()
    assert done(first, launcher, path) == done(asked("sdpa"), Launcher(), path)
    assert launcher.trained == [("sdpa", RATES[2], 0)]


def test_forgetting_keeps_what_was_asked_for(tmp_path: Path) -> None:
    found = recall_of(done(asked("sdpa"), Launcher(), tmp_path / "e.yaml"))
    runs = tuple(Training(rate=rate, seed=seed) for seed in (0, 1) for rate in RATES)
    assert ability_steps.forgotten(found) == Ability(task="recall", loads=RECALL.loads, runs=runs)
