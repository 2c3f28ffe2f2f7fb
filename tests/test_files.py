"""Files of the real command: a disk that is full, a folder that is closed, a run that is killed."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from effattn_cli import files, store
from tests.builders import a_profile
from tests.marked import marking, running
from tests.rounds import kept

SWEEP = (
    "profile -v linformer:rank=16 -s 64,128 --dim 64 --heads 2 --threads 1 --quiet --precision 0.5"
).split()


def effattn(*words: str, file_size: int | None = None) -> "subprocess.CompletedProcess[str]":
    """The command; with `file_size`, no file that it writes can grow beyond so many bytes."""

    def limit() -> None:
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    # Where the tests' coverage is measured, that would write files of its own.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, "-m", "effattn_cli", *words], env=environment,
        capture_output=True, text=True, timeout=120, check=False, preexec_fn=limit,
    )  # fmt: skip


def refused(found: "subprocess.CompletedProcess[str]", why: str) -> None:
    """It ended with exit code 2 and one line that says why."""
    assert found.returncode == 2, found.stderr
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: cannot write ")
    assert why in line
    assert found.stdout == ""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)):
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _mount(*words: str) -> bool:
    try:
        return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 1024):
                pass
        except OSError:
            pass


def test_a_folder_and_a_missing_folder_are_no_files(tmp_path: Path) -> None:
    refused(effattn(*SWEEP, "-o", str(tmp_path)), "it is a folder")
    refused(effattn(*SWEEP, "-o", str(tmp_path / "no" / "p.yaml")), "there is no folder")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder(small_disk: Path) -> None:
    path = small_disk / "p.yaml"
    store.Writer(path).write(a_profile())
    assert _mount("-o", "remount,ro", str(small_disk))
    refused(effattn(*SWEEP, "-o", str(small_disk / "new.yaml")), "cannot be written")
    refused(effattn(*SWEEP, "-o", str(path), "--force"), "cannot be written")
    assert store.read(path) == a_profile()


def test_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "p.yaml"
    store.Writer(path).write(a_profile())
    fill(small_disk)
    refused(effattn(*SWEEP, "-o", str(path), "--force"), "No space left on device")
    assert store.read(path) == a_profile()
    assert sorted(item.name for item in small_disk.iterdir()) == ["filler", "p.yaml"]


def test_a_disk_that_fills_up_in_mid_sweep(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    found = effattn(*SWEEP, "--rounds", "50", "-o", str(path), file_size=20_000)
    refused(found, "File too large")
    profile = store.read(path)
    assert not profile.finished
    assert any(record.runs for record in profile.records)
    assert [item.name for item in tmp_path.iterdir()] == ["p.yaml"]


@pytest.mark.in_ci
def test_two_runs_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    store.Writer(path).write(a_profile())
    with files.locked(path):
        refused(effattn(*SWEEP, "-o", str(path), "--force"), "another process does")
    assert store.read(path) == a_profile()


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".p.yaml.abc123.part").write_text("half")
    (tmp_path / ".p.yaml.lock").touch()
    (tmp_path / ".other.yaml.abc123.part").write_text("not ours")
    with files.locked(tmp_path / "p.yaml"):
        pass
    assert [item.name for item in tmp_path.iterdir()] == [".other.yaml.abc123.part"]


def test_a_full_disk_leaves_the_earlier_file(small_disk: Path) -> None:
    files.replace(small_disk / "p", b"earlier")
    fill(small_disk)
    with pytest.raises(files.CannotWrite, match="No space left on device"):
        files.replace(small_disk / "p", b"x" * 100_000)
    assert (small_disk / "p").read_bytes() == b"earlier"


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param("effattn_profile", marks=SLOW),
        pytest.param('"memory":', marks=SLOW),
        pytest.param('"runs": [{', marks=pytest.mark.in_ci),
    ],
)
def test_a_killed_run_is_resumed_and_nothing_is_left(tmp_path: Path, sign: str) -> None:
    path, mark = tmp_path / "p.yaml", str(tmp_path)
    run = subprocess.Popen(
        [sys.executable, "-m", "effattn_cli", *SWEEP, "--rounds", "5", "-o", str(path)],
        env=marking(mark),
        stderr=subprocess.DEVNULL,
    )
    while not path.exists() or sign not in path.read_text():
        assert run.poll() is None
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    before = store.read(path)
    deadline = time.monotonic() + 5
    while running(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(mark) == []

    found = effattn("profile", "--resume", str(path), "--quiet")
    assert found.returncode == 0, found.stderr
    after = store.read(path)
    assert after.finished
    assert [len(record.runs) for record in after.records] == [5] * 4
    for old, new in zip(before.records, after.records, strict=True):
        assert kept(old.runs, new.runs)
        assert old.memory in (None, new.memory)
    assert [item.name for item in tmp_path.iterdir()] == ["p.yaml"]


def test_sweeps_that_begin_in_one_second_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "saved_folder", lambda *_: tmp_path)
    profile = a_profile()
    with files.locked_new(profile) as first, files.locked_new(profile) as second:
        assert (first.stem + "-2", first.parent) == (second.stem, second.parent)
        first.write_text("")
    with files.locked_new(profile) as third:
        assert third == second
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
