"""A sweep in a folder of its own: told, handed over as it grows, and ended with whoever waits."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from effattn_cli.remote.agent import _Growing, _MachineLock, carry_out
from effattn_cli.remote.errands import Ended, Errand, Event, Grown, Line


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No other test's sweep is waited for."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    left = [path.name for path in tmp_path.iterdir() if path.is_dir()]
    assert not [name for name in left if name.startswith("effattn-")]


def events(*words: str, files: dict[str, bytes] | None = None, wanted: bool = True) -> list[Event]:
    errand = Errand(words=words, files=files or {}, profile="p.yaml")
    return list(carry_out(errand, lambda: wanted))


def test_a_command_is_told_line_by_line_and_ends_with_its_code() -> None:
    assert events("--version") == [Ended(0)]
    *lines, ended = events("profile", "--resume", "./nothing.yaml")
    assert ended == Ended(2)
    assert Line("error: cannot read './nothing.yaml': there is no such file") in lines


def test_its_files_are_there_and_its_profile_comes_back() -> None:
    data = (Path(__file__).parents[2] / "profiles/epyc-zen5-2-threads-linformer.yaml").read_bytes()
    found = events("merge", "-o", "p.yaml", "sub/one.yaml", files={"sub/one.yaml": data})
    grown = [event for event in found if isinstance(event, Grown)]
    assert [event.start for event in grown] == [0]
    assert grown[0].data.count(b"- cell:") == data.count(b"- cell:")
    assert found[-1] == Ended(0)


def test_options_of_the_command_that_sends_it_do_not_hold_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EFFATTN_PROFILE_ROUNDS", "none")
    assert events("profile", "--resume", "./nothing.yaml")[-1] == Ended(2)
    assert not any("none" in str(event) for event in events("profile", "--shard", "1/0"))


def test_a_sweep_that_nobody_waits_for_saves_and_ends() -> None:
    words = "profile -v sdpa -s 64 --rounds 100 --dim 64 --heads 2 -o p.yaml".split()
    *_, ended = events(*words, wanted=False)
    assert ended in (Ended(130), Ended(-15))  # -15: before it could listen


def test_two_sweeps_on_a_machine_wait_for_one_another() -> None:
    other = _MachineLock()
    assert other.held()
    errand = Errand(words=("--version",), files={}, profile="p")
    waiting = carry_out(errand, lambda: True)
    assert next(waiting) == Line("waits for another sweep on this machine")
    other.release()
    assert list(waiting) == [Ended(0)]


def test_a_sweep_that_waits_ends_when_nobody_waits_for_it() -> None:
    other = _MachineLock()
    assert other.held()
    assert events("--version", wanted=False)[-1] == Ended(-15)
    other.release()


def test_a_file_is_handed_over_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "p"
    with closing(_Growing(path)) as growing:
        _look(growing, path)


def _look(growing: _Growing, path: Path) -> None:
    assert list(growing.grown()) == []
    path.write_bytes(b"one")
    assert list(growing.grown()) == [Grown(0, b"one")]
    assert list(growing.grown()) == []
    with path.open("ab") as file:
        file.write(b" two")
    assert list(growing.grown()) == [Grown(3, b" two")]
    for _ in range(3):  # written anew, more than once between two looks
        new = path.with_name("new")
        new.write_bytes(b"1 2 and much more")
        new.replace(path)
    assert list(growing.grown()) == [Grown(0, b"1 2 and much more")]
    os.truncate(path, 3)  # the disk was full in mid record
    assert list(growing.grown()) == [Grown(0, b"1 2")]
