"""The schedule of a sweep, with processes that answer at once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from effattn_cli import store
from effattn_cli.catalog import Catalog
from effattn_cli.machine import Gpu
from effattn_cli.records import Cell, Profile, Record, Run, Sampling
from effattn_cli.run.context import RunContext
from effattn_cli.run.events import RETRY, Step
from effattn_cli.run.jobs import (
    CountCost,
    Job,
    MeasureLatency,
    MeasureMemory,
    Reply,
    Timed,
)
from effattn_cli.run.memory_limits import HEADROOM
from effattn_cli.run.outcome import decoded
from effattn_cli.run.scheduler import Scheduler
from effattn_cli.setting import Setting
from tests.builders import a_machine
from tests.fake_launcher import FakeLauncher, answering, refusing, seconds

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


class Saved:
    """Keeps what a sweep saves, as a file would have it after each step."""

    def __init__(self) -> None:
        self.profiles: list[Profile] = []

    def write(self, profile: Profile) -> None:
        self.profiles.append(profile)

    def add(self, record: Record) -> None:
        last = self.profiles[-1]
        records = (record if old.cell == record.cell else old for old in last.records)
        self.profiles.append(replace(last, records=tuple(records)))


class Sweep:
    """A finished sweep and all that it showed on the way."""

    def __init__(self, profile: Profile, launcher: FakeLauncher, memory: int = 2**40) -> None:
        saver = Saved()
        self.saved = saver.profiles
        self.steps: list[Step] = []
        self.launcher = launcher
        context = RunContext(
            launcher=launcher,
            memory_limit=memory,
            saver=saver,
            watch=self.steps.append,
            clock=launcher.clock,
        )
        self.profile = Scheduler(profile, context).run()
        self.records = {(r.cell.variant, r.cell.seq): r for r in self.profile.records}

    @property
    def timed(self) -> list[Cell]:
        return self.launcher.measured(MeasureLatency)

    @property
    def watched(self) -> list[Cell]:
        return self.launcher.measured(MeasureMemory)


def is_about(job: Job, kind: type[MeasureMemory | MeasureLatency], seq: int) -> bool:
    return isinstance(job.request, kind) and job.request.task.cell.seq == seq


def test_every_cell_is_measured_in_as_many_processes_as_rounds() -> None:
    sweep = Sweep(a_sweep("linformer"), FakeLauncher())
    assert [record.status for record in sweep.profile.records] == ["measured"] * 7
    assert {len(record.runs) for record in sweep.profile.records} == {3}
    assert len(sweep.timed) == 21
    assert sweep.profile.finished
    assert sweep.records["linformer", 4096].seconds == pytest.approx(
        seconds(Cell(variant="linformer", seq=4096))
    )


def test_rounds_come_in_shuffled_order_that_the_seed_decides() -> None:
    orders = []
    for seed in (0, 0, 1):
        timed = Sweep(a_sweep("linformer", seed=seed), FakeLauncher()).timed
        orders.append([cell.seq for cell in timed])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0][:7]) == LENGTHS != orders[0][:7]
    assert orders[0][:7] != orders[0][7:14]


def test_cells_that_cost_too_much_are_predicted_from_the_longest_measured_one() -> None:
    sweep = Sweep(a_sweep("sdpa", time_limit=20.0), FakeLauncher())
    predicted = [record for record in sweep.profile.records if record.status == "predicted"]
    assert [record.cell.seq for record in predicted] == [32768, 65536]
    for record in predicted:
        assert record.prediction is not None
        assert record.prediction.anchor_seq == 16384
        assert record.prediction.low < seconds(record.cell) < record.prediction.high
        assert record.seconds == pytest.approx(seconds(record.cell), rel=1e-5)  # CALL is no N^2
        assert record.peak_bytes == 2048 * record.cell.seq + 1000
    assert 32768 not in [cell.seq for cell in sweep.watched]


def test_nothing_measured_leaves_nothing_to_predict_from() -> None:
    sweep = Sweep(a_sweep("sdpa", time_limit=1e-6), FakeLauncher())
    assert {record.status for record in sweep.profile.records} == {"failed"}
    failure = sweep.profile.records[0].failure
    assert failure is not None
    assert failure.reason == "too-costly"


def test_the_profile_is_saved_after_every_process() -> None:
    sweep = Sweep(a_sweep("linformer"), FakeLauncher())
    rounds = [sum(len(record.runs) for record in saved.records) for saved in sweep.saved]
    assert rounds == sorted(rounds)
    assert set(rounds) == set(range(22))


@pytest.mark.parametrize("step", range(1, 28, 5))
def test_a_killed_sweep_goes_on_without_measuring_anything_twice(step: int) -> None:
    whole = Sweep(a_sweep("linformer"), FakeLauncher())
    half = whole.saved[step]
    again = Sweep(half, FakeLauncher())
    assert [replace(r, kernels=()) for r in again.profile.records] == [
        replace(r, kernels=()) for r in whole.profile.records
    ]
    done = sum(len(r.runs) + (r.memory is not None) for r in half.records)
    assert len(again.timed) + len(again.watched) == 28 - done


def test_a_cell_that_cannot_fit_is_never_started() -> None:
    sweep = Sweep(a_sweep("linformer"), FakeLauncher(), memory=8192 * 20_000)
    failure = sweep.records["linformer", 32768].failure
    assert failure is not None
    assert failure.reason == "out-of-memory"
    assert failure.message == "would need 256 MiB, the limit is 156 MiB"
    assert max(cell.seq for cell in sweep.watched) == 16384


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        (Reply(exit=None), "timeout", "no answer within 40 s"),
        (Reply(exit=-11), "crashed", "killed by signal 11 (SIGSEGV)"),
        (Reply(exit=3), "crashed", "exit code 3"),
        (Reply(exit=0), "crashed", "ended without an answer"),
        (refusing("raised", "ValueError: no"), "raised", "ValueError: no"),
    ],
)  # fmt: skip
def test_trouble_in_one_cell_harms_no_other(reply: Reply, reason: str, words: str) -> None:
    def trouble(job: Job) -> Reply | None:
        wrong = is_about(job, MeasureLatency, 65536)
        return replace(reply, output=("some last words",)) if wrong else None

    sweep = Sweep(a_sweep("linformer"), FakeLauncher(trouble))
    failed = [record for record in sweep.profile.records if record.status == "failed"]
    assert [record.cell.seq for record in failed] == [65536]
    assert failed[0].failure is not None
    assert failed[0].failure.reason == reason
    assert words in failed[0].failure.message
    assert failed[0].failure.output == ("some last words",)
    assert len(sweep.timed) == 19


def test_after_a_timeout_longer_lengths_are_not_tried() -> None:
    def trouble(job: Job) -> Reply | None:
        return Reply(exit=None) if is_about(job, MeasureMemory, 8192) else None

    sweep = Sweep(a_sweep("linformer", "sdpa"), FakeLauncher(trouble))
    failed = {key for key, record in sweep.records.items() if record.status == "failed"}
    assert failed == {(name, seq) for name in ("linformer", "sdpa") for seq in LENGTHS[3:]}
    assert len(sweep.watched) == 8


def test_a_timeout_of_a_larger_batch_says_nothing_of_a_smaller_one() -> None:
    def trouble(job: Job) -> Reply | None:
        if not is_about(job, MeasureMemory, 1024):
            return None
        assert isinstance(job.request, MeasureMemory)
        return Reply(exit=None) if job.request.task.cell.setting.batch == 64 else None

    cells = [
        Cell(variant="linformer", seq=seq, setting=Setting(batch=n))
        for seq in (1024, 2048)
        for n in (1, 64)
    ]
    records = tuple(Record(cell=cell) for cell in cells)
    sweep = Sweep(replace(a_sweep("linformer"), records=records), FakeLauncher(trouble))
    found = {(r.cell.seq, r.cell.setting.batch): r.status for r in sweep.profile.records}
    assert found[2048, 1] == "measured"
    assert found[2048, 64] == "failed"


def test_a_cell_that_breaks_the_counting_is_measured_all_the_same() -> None:
    def trouble(job: Job) -> Reply | None:
        request = job.request
        if not isinstance(request, CountCost):
            return None
        if 4096 not in [task.cell.seq for task in request.tasks]:
            return None
        before = CountCost(tasks=request.tasks[:2])
        return replace(FakeLauncher().run(replace(job, request=before)), exit=-11)

    sweep = Sweep(a_sweep("linformer"), FakeLauncher(trouble))
    record = sweep.records["linformer", 4096]
    assert record.status == "measured"
    assert record.cost is None
    assert record.warnings == ("its cost could not be counted: the process ended",)
    assert all(r.cost is not None for key, r in sweep.records.items() if key[1] != 4096)


def test_the_time_budget_ends_the_sweep_and_what_is_missing_is_predicted() -> None:
    launcher = FakeLauncher()
    sweep = Sweep(a_sweep("sdpa", time_budget=3.0, time_limit=1000.0), launcher)
    assert launcher.seconds < 3.5
    first, *_, last = sweep.profile.records
    assert first.status == "measured"
    assert last.prediction is not None
    assert last.prediction.why == "would not fit the time budget"


def test_with_a_time_budget_the_baseline_comes_first_and_rounds_come_last() -> None:
    names = ("linformer", "sdpa", "softmax")
    launcher = FakeLauncher()
    sweep = Sweep(a_sweep(*names, time_budget=50.0, time_limit=1000.0), launcher)
    timed = sweep.timed
    firsts = len(set(timed))
    assert len(set(timed[:firsts])) == firsts  # no cell a second time before each had its first
    first_other = next(n for n, cell in enumerate(timed) if cell.variant != "sdpa")
    assert first_other >= 5
    assert len(timed) > firsts
    runs = [len(record.runs) for record in sweep.profile.records]
    assert 0 in runs  # the longest does not fit
    assert 20 < launcher.seconds < 55


def test_the_baseline_alone_does_not_spend_a_time_budget() -> None:
    sweep = Sweep(a_sweep("sdpa", "linformer", time_budget=12.0, time_limit=1000.0), FakeLauncher())
    measured = [key for key, record in sweep.records.items() if record.runs]
    assert {seq for name, seq in measured if name == "linformer"} == set(LENGTHS)


def test_counting_does_not_spend_the_time_budget() -> None:
    def trouble(job: Job) -> None:
        if isinstance(job.request, CountCost):
            launcher.seconds += 1000.0

    launcher = FakeLauncher(trouble)
    sweep = Sweep(a_sweep("linformer", time_budget=100.0), launcher)
    assert [record.status for record in sweep.profile.records] == ["measured"] * 7


def test_only_some_cells_are_measured_where_only_these_are_wanted() -> None:
    profile, launcher = a_sweep("linformer"), FakeLauncher()
    wanted = {record.cell for record in profile.records if record.cell.seq < 4096}
    context = RunContext(launcher=launcher, memory_limit=2**40, saver=Saved(), watch=lambda _: None)
    found = Scheduler(profile, context, wanted).run()
    assert set(launcher.measured(MeasureLatency)) == wanted
    assert [record.status for record in found.records] == ["measured"] * 2 + ["pending"] * 5
    assert not found.finished


def test_steps_count_up_to_the_total_and_each_cell_settles_once() -> None:
    sweep = Sweep(a_sweep("linformer", "sdpa", time_limit=1.0), FakeLauncher())
    settled = [step.record.cell for step in sweep.steps if step.settled]
    assert len(settled) == len(set(settled)) == 14
    assert sweep.steps[-1].done == sweep.steps[-1].total
    assert all(step.done <= step.total for step in sweep.steps)


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
    cells = [Cell(variant="linformer", seq=1024, setting=Setting(device="cuda"))]
    machine = a_machine(accelerator="A GPU", **facts)
    records = tuple(Record(cell=cell) for cell in cells)
    sweep = Sweep(replace(profile, machine=machine, records=records), FakeLauncher())
    (record,) = sweep.profile.records
    if limit < 2**40:  # the cell needs some megabytes
        assert record.failure is not None
        assert record.failure.reason == "out-of-memory"
        return
    jobs = [
        (job, job.request)
        for job in sweep.launcher.jobs
        if isinstance(job.request, MeasureMemory | MeasureLatency)
    ]
    assert [job.memory for job, _ in jobs] == [None] * 4
    assert {request.device_memory for _, request in jobs} == {int(limit * HEADROOM)}


def test_what_a_gpu_told_is_kept_with_its_run(tmp_path: Path) -> None:
    gpu = Gpu(sm_mhz=1755, celsius=61, throttle_reasons=("heat",))

    def trouble(job: Job) -> Reply | None:
        if not isinstance(job.request, MeasureLatency):
            return None
        run = replace(timed_by(FakeLauncher().run(job)), gpu=gpu, launch=1e-5, discarded=(1.0,))
        return answering(Timed(run=run))

    sweep = Sweep(a_sweep("linformer"), FakeLauncher(trouble))
    store.Writer(tmp_path / "p.yaml").write(sweep.profile)
    assert store.read(tmp_path / "p.yaml") == sweep.profile
    for record in sweep.profile.records:
        assert {run.gpu for run in record.runs} == {gpu}
        assert {(run.launch, run.discarded) for run in record.runs} == {(1e-5, (1.0,))}


def timed_by(reply: Reply) -> Run:
    """The run that a reply holds."""
    told = decoded(reply.answers[0], Timed)
    assert isinstance(told, Timed)
    return told.run


class ChangingMachine(FakeLauncher):
    """Slower by half in some runs, counted from 0: the cells, and the reference kernel."""

    def __init__(self, slow: Callable[[int], bool]) -> None:
        super().__init__()
        self.slow = slow

    def run(self, job: Job) -> Reply:
        reply = super().run(job)
        if not isinstance(job.request, MeasureLatency) or not reply.answers:
            return reply
        times = 1.5 if self.slow(len(self.measured(MeasureLatency)) - 1) else 1.0
        run = timed_by(reply)
        samples = tuple(times * sample for sample in run.samples)
        return answering(Timed(run=replace(run, samples=samples, calibration=times * 3e-6)))


def test_a_round_on_a_slower_machine_is_tried_once_more() -> None:
    sweep = Sweep(a_sweep("linformer"), ChangingMachine(lambda run: run in {4, 9, 10}))
    assert len(sweep.timed) == 21 + 3
    again = [step for step in sweep.steps if step.stage == RETRY]
    assert [(step.done, step.total) for step in again] == [
        (done, 31) for before in (28, 29, 30) for done in (before, before + 1)
    ]
    assert [step.settled for step in again] == [False, True] * 3
    for record in sweep.profile.records:
        assert set(record.samples) == {seconds(record.cell)}
    apart = [run.discarded for record in sweep.profile.records for run in record.runs]
    assert [len(samples) for samples in apart if samples] == [8, 8, 8]


def test_a_second_try_on_an_even_slower_machine_counts_nowhere() -> None:
    sweep = Sweep(a_sweep("linformer"), ChangingMachine(lambda run: run >= 20))
    (last,) = sweep.timed[20:21]
    assert sweep.timed[21:] == [last]
    (run,) = (r for record in sweep.profile.records for r in record.runs if r.discarded)
    assert set(run.samples) == set(run.discarded) == {1.5 * seconds(last)}
    again = Sweep(replace(sweep.profile, finished=False), ChangingMachine(lambda _: False))
    assert again.timed == []  # it was tried twice already
    assert again.profile == sweep.profile


def test_a_second_try_that_fails_takes_nothing_away() -> None:
    machine = ChangingMachine(lambda run: run == 4)
    machine.trouble = lambda _: (
        Reply(exit=-11) if len(machine.measured(MeasureLatency)) > 21 else None
    )
    sweep = Sweep(a_sweep("linformer"), machine)
    assert [record.status for record in sweep.profile.records] == ["measured"] * 7
    assert {len(record.runs) for record in sweep.profile.records} == {3}
    (warning,) = (text for record in sweep.profile.records for text in record.warnings)
    assert warning.startswith("a second try of round ")
