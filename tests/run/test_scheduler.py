"""The schedule of a sweep, with processes that answer at once."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from effattn_cli import store
from effattn_cli.catalog import Catalog
from effattn_cli.machine import Gpu
from effattn_cli.records import Cell, Profile, Record, Sampling
from effattn_cli.run.context import Rig
from effattn_cli.run.events import Step
from effattn_cli.run.fork_server import Job, Reply
from effattn_cli.run.scheduler import HEADROOM, Runner
from tests.builders import a_machine
from tests.fake_launcher import FakeLauncher, seconds

LENGTHS = [1024 * 2**i for i in range(7)]


def a_sweep(*names: str, **sampling: object) -> Profile:
    cells = [Cell(variant=name, seq=seq) for name in names for seq in LENGTHS]
    return Profile(
        created="2026-11-23T12:00:00+00:00",
        command="effattn profile",
        machine=a_machine(),
        sampling=Sampling(**sampling),  # type: ignore[arg-type]
        baseline="sdpa",
        variants={name: Catalog().variant(name) for name in names},
        records=tuple(Record(cell=cell) for cell in cells),
    )


class Run:
    """A finished run and all that it showed on the way."""

    def __init__(self, profile: Profile, launcher: FakeLauncher, memory: int = 2**40) -> None:
        self.saved: list[Profile] = []
        self.steps: list[Step] = []
        self.launcher = launcher
        rig = Rig(
            launcher=launcher,
            memory_limit=memory,
            save=self.saved.append,
            watch=self.steps.append,
            clock=launcher.clock,
        )
        self.profile = Runner(profile, rig).run()
        self.records = {(r.cell.variant, r.cell.seq): r for r in self.profile.records}


def test_every_cell_is_measured_in_as_many_processes_as_rounds() -> None:
    run = Run(a_sweep("linformer"), FakeLauncher())
    assert [record.status for record in run.profile.records] == ["measured"] * 7
    assert {len(record.rounds) for record in run.profile.records} == {3}
    assert len(run.launcher.visits("latency")) == 21
    assert run.profile.finished
    assert run.records["linformer", 4096].seconds == pytest.approx(
        seconds(Cell(variant="linformer", seq=4096))
    )


def test_rounds_come_in_shuffled_order_that_the_seed_decides() -> None:
    orders = []
    for seed in (0, 0, 1):
        visits = Run(a_sweep("linformer", seed=seed), FakeLauncher()).launcher.visits("latency")
        orders.append([cell.seq for cell in visits])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0][:7]) == LENGTHS != orders[0][:7]
    assert orders[0][:7] != orders[0][7:14]


def test_cells_that_cost_too_much_are_predicted_from_the_longest_measured_one() -> None:
    run = Run(a_sweep("sdpa", time_limit=20.0), FakeLauncher())
    predicted = [record for record in run.profile.records if record.status == "predicted"]
    assert [record.cell.seq for record in predicted] == [32768, 65536]
    for record in predicted:
        assert record.prediction is not None
        assert record.prediction.anchor_seq == 16384
        assert record.prediction.low < seconds(record.cell) < record.prediction.high
        assert record.seconds == pytest.approx(seconds(record.cell), rel=1e-5)  # CALL is no N^2
        assert record.peak_bytes == 2048 * record.cell.seq + 1000
    assert 32768 not in [cell.seq for cell in run.launcher.visits("memory")]


def test_nothing_measured_leaves_nothing_to_predict_from() -> None:
    run = Run(a_sweep("sdpa", time_limit=1e-6), FakeLauncher())
    assert {record.status for record in run.profile.records} == {"failed"}
    failure = run.profile.records[0].failure
    assert failure is not None
    assert failure.reason == "too-costly"


def test_the_profile_is_saved_after_every_visit() -> None:
    run = Run(a_sweep("linformer"), FakeLauncher())
    rounds = [sum(len(record.rounds) for record in saved.records) for saved in run.saved]
    assert rounds == sorted(rounds)
    assert set(rounds) == set(range(22))


@pytest.mark.parametrize("visit", range(1, 28, 5))
def test_a_killed_run_goes_on_without_measuring_anything_twice(visit: int) -> None:
    whole = Run(a_sweep("linformer"), FakeLauncher())
    half = whole.saved[visit]
    again = Run(half, FakeLauncher())
    assert [replace(r, kernels=()) for r in again.profile.records] == [
        replace(r, kernels=()) for r in whole.profile.records
    ]
    done = sum(len(r.rounds) + (r.memory is not None) for r in half.records)
    names = [job.name for job in again.launcher.jobs]
    assert names.count("latency") + names.count("memory") == 28 - done


def test_a_cell_that_cannot_fit_is_never_started() -> None:
    run = Run(a_sweep("linformer"), FakeLauncher(), memory=8192 * 20_000)
    failure = run.records["linformer", 32768].failure
    assert failure is not None
    assert failure.reason == "out-of-memory"
    assert failure.message == "would need 256 MiB, the limit is 156 MiB"
    assert max(cell.seq for cell in run.launcher.visits("memory")) == 16384


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        (Reply(exit=None), "timeout", "no answer within 40 s"),
        (Reply(exit=-11), "crashed", "killed by signal 11 (SIGSEGV)"),
        (Reply(exit=3), "crashed", "exit code 3"),
        (Reply(exit=0), "crashed", "ended without an answer"),
        (
            Reply(exit=0, answers=[{"failure": {"reason": "raised", "message": "ValueError: no"}}]),
            "raised",
            "ValueError: no",
        ),
    ],
)  # fmt: skip
def test_trouble_in_one_cell_harms_no_other(reply: Reply, reason: str, words: str) -> None:
    def trouble(job: Job) -> Reply | None:
        wrong = job.name == "latency" and job.payload["cell"]["seq"] == 65536
        return replace(reply, output=["some last words"]) if wrong else None

    run = Run(a_sweep("linformer"), FakeLauncher(trouble))
    failed = [record for record in run.profile.records if record.status == "failed"]
    assert [record.cell.seq for record in failed] == [65536]
    assert failed[0].failure is not None
    assert failed[0].failure.reason == reason
    assert words in failed[0].failure.message
    assert failed[0].failure.output == ("some last words",)
    assert len(run.launcher.visits("latency")) == 19


def test_after_a_timeout_longer_lengths_are_not_tried() -> None:
    def trouble(job: Job) -> Reply | None:
        wrong = job.name == "memory" and job.payload["cell"]["seq"] == 8192
        return Reply(exit=None) if wrong else None

    run = Run(a_sweep("linformer", "sdpa"), FakeLauncher(trouble))
    failed = {key for key, record in run.records.items() if record.status == "failed"}
    assert failed == {(name, seq) for name in ("linformer", "sdpa") for seq in LENGTHS[3:]}
    assert len(run.launcher.visits("memory")) == 8


def test_a_timeout_of_a_larger_batch_says_nothing_of_a_smaller_one() -> None:
    def trouble(job: Job) -> Reply | None:
        wrong = {"seq": 1024, "batch": 64}
        found = job.payload.get("cell", {}).items()
        return Reply(exit=None) if job.name == "memory" and wrong.items() <= found else None

    cells = [Cell(variant="linformer", seq=seq, batch=n) for seq in (1024, 2048) for n in (1, 64)]
    records = tuple(Record(cell=cell) for cell in cells)
    run = Run(replace(a_sweep("linformer"), records=records), FakeLauncher(trouble))
    found = {(r.cell.seq, r.cell.batch): r.status for r in run.profile.records}
    assert found[2048, 1] == "measured"
    assert found[2048, 64] == "failed"


def test_a_cell_that_breaks_the_counting_is_measured_all_the_same() -> None:
    def trouble(job: Job) -> Reply | None:
        lengths = [item["cell"]["seq"] for item in job.payload.get("cells", []) if "cell" in item]
        if job.name != "count" or 4096 not in lengths:
            return None
        fine = FakeLauncher().run(replace(job, payload={"cells": job.payload["cells"][:2]}))
        return replace(fine, exit=-11)

    run = Run(a_sweep("linformer"), FakeLauncher(trouble))
    record = run.records["linformer", 4096]
    assert record.status == "measured"
    assert record.cost is None
    assert record.warnings == ("its cost could not be counted: the process ended",)
    assert all(r.cost is not None for key, r in run.records.items() if key[1] != 4096)


def test_the_time_budget_ends_the_sweep_and_what_is_missing_is_predicted() -> None:
    launcher = FakeLauncher()
    run = Run(a_sweep("sdpa", time_budget=3.0, time_limit=1000.0), launcher)
    assert launcher.seconds < 3.5
    first, *_, last = run.profile.records
    assert first.status == "measured"
    assert last.prediction is not None
    assert last.prediction.why == "would not fit the time budget"


def test_steps_count_up_to_the_total_and_each_cell_settles_once() -> None:
    run = Run(a_sweep("linformer", "sdpa", time_limit=1.0), FakeLauncher())
    settled = [step.record.cell for step in run.steps if step.settled]
    assert len(settled) == len(set(settled)) == 14
    assert run.steps[-1].done == run.steps[-1].total
    assert all(step.done <= step.total for step in run.steps)


@pytest.mark.parametrize(
    ("facts", "given", "limit"),
    [
        ({"accelerator_free_bytes": 100, "accelerator_memory_bytes": 500}, None, 80),
        ({"accelerator_memory_bytes": 500}, None, 400),
        ({}, None, 2**40),  # where the accelerator does not tell
        ({"accelerator_free_bytes": 100}, 2**40, 2**40),
    ],
)
def test_on_an_accelerator_its_own_memory_is_the_limit(
    facts: dict[str, int], given: int | None, limit: int
) -> None:
    profile = a_sweep("linformer", memory_limit=given)
    cells = [replace(record.cell, device="cuda") for record in profile.records[:1]]
    machine = a_machine(accelerator="A GPU", **facts)
    records = tuple(Record(cell=cell) for cell in cells)
    run = Run(replace(profile, machine=machine, records=records), FakeLauncher())
    (record,) = run.profile.records
    if limit < 2**40:  # the cell needs some megabytes
        assert record.failure is not None
        assert record.failure.reason == "out-of-memory"
        return
    visits = [job for job in run.launcher.jobs if job.name in {"memory", "latency"}]
    assert [job.memory for job in visits] == [None] * 4
    assert {job.payload["device_memory"] for job in visits} == {int(limit * HEADROOM)}


def test_what_a_gpu_told_is_kept_with_its_round(tmp_path: Path) -> None:
    gpu = Gpu(sm_mhz=1755, celsius=61, brakes=("heat",))

    def trouble(job: Job) -> Reply | None:
        if job.name != "latency":
            return None
        (told,) = FakeLauncher().run(job).answers
        more = {"gpu": asdict(gpu), "launch": 1e-5, "contended": [1.0]}
        return Reply(answers=[json.loads(json.dumps({"round": told["round"] | more}))], exit=0)

    run = Run(a_sweep("linformer"), FakeLauncher(trouble))
    store.Writer(tmp_path / "p.yaml").write(run.profile)
    assert store.read(tmp_path / "p.yaml") == run.profile
    for record in run.profile.records:
        assert {part.gpu for part in record.rounds} == {gpu}
        assert {(part.launch, part.contended) for part in record.rounds} == {(1e-5, (1.0,))}


class ChangingMachine(FakeLauncher):
    """Slower by half in some visits, counted from 0: the cells, and the fixed kernel."""

    def __init__(self, slow: Callable[[int], bool]) -> None:
        super().__init__()
        self.slow = slow

    def run(self, job: Job) -> Reply:
        reply = super().run(job)
        if job.name == "latency" and reply.answers:
            times = 1.5 if self.slow(len(self.visits("latency")) - 1) else 1.0
            told = reply.answers[0]["round"]
            told["samples"] = [times * sample for sample in told["samples"]]
            told["calibration"] = times * 3e-6
        return reply


def test_a_round_on_a_slower_machine_is_tried_once_more() -> None:
    run = Run(a_sweep("linformer"), ChangingMachine(lambda visit: visit in {4, 9, 10}))
    assert len(run.launcher.visits("latency")) == 21 + 3
    assert [step.stage for step in run.steps].count("once more") == 6  # before and after each
    for record in run.profile.records:
        assert set(record.samples) == {seconds(record.cell)}
    apart = [part.contended for record in run.profile.records for part in record.rounds]
    assert [len(samples) for samples in apart if samples] == [8, 8, 8]


def test_a_second_try_on_an_even_slower_machine_counts_nowhere() -> None:
    run = Run(a_sweep("linformer"), ChangingMachine(lambda visit: visit >= 20))
    (last,) = run.launcher.visits("latency")[20:21]
    assert run.launcher.visits("latency")[21:] == [last]
    (part,) = (p for record in run.profile.records for p in record.rounds if p.contended)
    assert set(part.samples) == set(part.contended) == {1.5 * seconds(last)}
    again = Run(replace(run.profile, finished=False), ChangingMachine(lambda _: False))
    assert again.launcher.visits("latency") == []  # it was tried twice already
    assert again.profile == run.profile


def test_a_second_try_that_fails_takes_nothing_away() -> None:
    machine = ChangingMachine(lambda visit: visit == 4)
    machine.trouble = lambda _: Reply(exit=-11) if len(machine.visits("latency")) > 21 else None
    run = Run(a_sweep("linformer"), machine)
    assert [record.status for record in run.profile.records] == ["measured"] * 7
    assert {len(record.rounds) for record in run.profile.records} == {3}
    (warning,) = (text for record in run.profile.records for text in record.warnings)
    assert warning.startswith("a second visit for round 1 failed: ")
