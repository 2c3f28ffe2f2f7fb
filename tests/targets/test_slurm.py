"""Jobs of submitit, by the executor that runs them on this machine."""

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from effattn_cli.app import supervisor
from effattn_cli.remote import streams
from effattn_cli.targets import slurm
from tests.marked import marking, running
from tests.running import MODULE, alone, effattn
from tests.targets.far import LONG, ROUNDS, SWEEP, WHOLE, of_all_shards, sweep_of

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'effattn[slurm]'")
LOCAL = "slurm:cluster=local,shards=2"


@pytest.mark.parametrize(
    ("target", "why", "hint"),
    [
        ("slurm:shards", "cannot read 'shards'", "slurm:partition=gpu,shards=8"),
        ("slurm:shards=0", "shards=0 is no number of shards", "1 or more"),
        ("slurm:cluster=lokal", "unknown cluster 'lokal'", "slurm, or local: on this machine"),
        ("slurm:cluster=local,parttion=x", "unknown option 'parttion'", "mean 'partition'?"),
        ("slrm", "unknown target 'slrm'", "did you mean 'slurm'?"),
    ],
)
def test_what_cannot_be_read_is_one_line(target: str, why: str, hint: str, tmp_path: Path) -> None:
    found = effattn(*SWEEP, "--on", target, "-o", "out", cwd=tmp_path)
    assert found.returncode == 2
    first, second = found.stderr.splitlines()
    assert why in first
    assert hint in second
    assert not (tmp_path / "out").exists()


def test_without_slurm_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = effattn(*SWEEP, "--on", "slurm:partition=gpu", cwd=tmp_path)
    assert (found.returncode, "there is no Slurm here" in found.stderr) == (2, True)


@pytest.mark.in_ci
def test_shards_are_measured_and_merged(tmp_path: Path) -> None:
    words = ["--on", LOCAL, "--dry-run", "-o", "out"]
    plan = effattn(*SWEEP, *words, cwd=tmp_path, COLUMNS="200")
    assert "shard 2/2  local job, this machine  effattn profile --config" in plan.stdout
    assert "--shard 2/2\n" in plan.stdout
    assert not (tmp_path / "out").exists()
    found = alone(*SWEEP, "--on", LOCAL, "-o", "out", cwd=tmp_path, TMPDIR=str(tmp_path))
    assert found.returncode == 0, found.stderr
    assert "[shard 1/2] " in found.stderr
    assert "[shard 2/2] " in found.stderr
    profile = of_all_shards(tmp_path / "out", found.stderr)
    assert sweep_of(profile) == WHOLE
    assert profile.finished
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".yaml"}  # no parts are left


@pytest.mark.in_ci
def test_ctrl_c_in_the_terminal_ends_the_jobs_and_they_go_on_later(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    environment = marking(mark) | {"COLUMNS": "80", "NO_COLOR": "1", "TMPDIR": str(tmp_path)}
    words = [*MODULE, *LONG, "-o", "out", "--on", LOCAL]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        parts = [tmp_path / f"out/parts/shard-{number}-of-2.yaml" for number in (1, 2)]
        while process.poll() is None and not any(map(supervisor.measured, parts)):
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=90)
    assert process.returncode == 130, said
    deadline = time.monotonic() + 60  # what submitit has started sees to its own end
    while running(mark) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert running(mark) == []
    words = ["profile", "--resume", "out", "--on", "slurm:cluster=local"]
    found = alone(*words, cwd=tmp_path, TMPDIR=str(tmp_path))
    assert found.returncode == 0, found.stderr
    profile = of_all_shards(tmp_path / "out", found.stderr)
    assert [row[:2] for row in sweep_of(profile)] == [row[:2] for row in WHOLE]
    assert all(runs >= ROUNDS for *_, runs in sweep_of(profile))


def test_a_silent_sender_ends_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEAT", 0.01)
    signs = slurm._Signs(tmp_path / "lives")
    watch = slurm._Watch(tmp_path / "lives")
    assert watch.there()
    while not (tmp_path / "lives").read_text():
        time.sleep(0.01)
    watch._last -= streams.SILENCE  # the sign is a new one, all the same
    assert watch.there()
    signs.end()
    while (tmp_path / "lives").exists():
        time.sleep(0.01)
    assert not watch.there()
