"""Sweeps elsewhere are followed to their end, whatever happens on the way."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from effattn_cli import files, store
from effattn_cli.app import supervisor
from effattn_cli.app.supervisor import Supervisor, Worker, grow, measured
from effattn_cli.errors import UsageError
from effattn_cli.remote.errands import Ended, Errand, Event, Grown, Line, Lost, Run
from tests.builders import a_cell, a_profile, a_run, pending

CUT = object()  # the link is gone
WAIT = object()  # nothing more comes until it is stopped, and then the end


def whole(runs: int) -> bytes:
    """A profile with so many runs."""
    one = replace(pending(a_cell("sdpa", 64)), runs=(a_run(0.1),) * runs)
    return store.as_yaml(a_profile(one, finished=False)).encode()


class Scripted:
    """A run that goes as it is written."""

    def __init__(self, script: list[object]) -> None:
        self._script = script
        self.stopped = False

    def events(self) -> Iterator[Event]:
        for step in self._script:
            if step is CUT:
                raise Lost("the link is gone")
            if step is WAIT:
                while not self.stopped:
                    yield Line("works")
                yield Line("interrupted")
                yield Ended(130)
                return
            assert isinstance(step, Event)
            yield step

    def stop(self) -> None:
        self.stopped = True

    def abandon(self) -> None: ...


class Target:
    whole = True

    def __init__(self, **scripts: list[list[object]]) -> None:
        self.names = tuple(scripts)
        self._scripts = scripts
        self.errands: dict[str, list[Errand]] = {name: [] for name in scripts}

    def places(self) -> Mapping[str, str]:
        return dict.fromkeys(self.names, "here")

    def start(self, errands: Mapping[str, Errand]) -> Mapping[str, Run]:
        for name, errand in errands.items():
            self.errands[name].append(errand)
        return {name: Scripted(self._scripts[name].pop(0)) for name in errands}


class Watch:
    def __init__(self, interrupts: bool = False) -> None:
        self.lines: list[str] = []
        self.growths = 0
        self._interrupts = interrupts

    def said(self, name: str, text: str) -> None:
        self.lines.append(f"{name}: {text}")
        if self._interrupts:
            self._interrupts = False
            raise KeyboardInterrupt

    def grown(self, name: str, part: Path) -> None:
        self.growths += 1


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PAUSES", (0.0, 0.0, 0.0))


def followed(target: Target, watch: Watch, folder: Path) -> dict[str, int | None]:
    def worker(name: str) -> Worker:
        part = folder / name

        def errand() -> Errand:
            there = {"p": part.read_bytes()} if part.exists() else {}
            return Errand(words=(), files=there, profile="p")

        return Worker(name, part, errand)

    return Supervisor(target, {name: worker(name) for name in target.names}, watch).run()


def test_lines_and_profiles_come_from_all(tmp_path: Path) -> None:
    target = Target(
        a=[[Line("one"), Grown(0, b"first"), Grown(5, b", second"), Ended(0)]],
        b=[[Line("two"), Ended(3)]],
    )
    watch = Watch()
    assert followed(target, watch, tmp_path) == {"a": 0, "b": 3}
    assert sorted(watch.lines) == ["a: one", "b: two"]
    assert (tmp_path / "a").read_text() == "first, second"
    assert watch.growths == 2


def test_what_is_lost_goes_on_with_what_there_is(tmp_path: Path) -> None:
    target = Target(a=[[Grown(0, whole(1)), CUT], [Grown(0, whole(2)), Ended(0)]])
    watch = Watch()
    assert followed(target, watch, tmp_path) == {"a": 0}
    assert [errand.files for errand in target.errands["a"]] == [{}, {"p": whole(1)}]
    assert watch.lines == ["a: note: lost: the link is gone; goes on in 0 s"]


@pytest.mark.parametrize("code", [-9, -15, 137])
def test_a_command_that_was_killed_is_begun_again(code: int, tmp_path: Path) -> None:
    target = Target(a=[[Grown(0, whole(1)), Ended(code)], [Ended(0)]])
    watch = Watch()
    assert followed(target, watch, tmp_path) == {"a": 0}
    assert watch.lines == [f"a: note: killed by signal {15 if code == -15 else 9}; goes on in 0 s"]


def test_a_sweep_that_somebody_else_stops_goes_on(tmp_path: Path) -> None:
    """Slurm, say, when the time of a job is over."""
    target = Target(a=[[Grown(0, whole(1)), Ended(130)], [Ended(0)]])
    watch = Watch()
    assert followed(target, watch, tmp_path) == {"a": 0}
    assert watch.lines == ["a: note: it was stopped there; goes on in 0 s"]


def test_it_is_given_up_after_losses_between_which_nothing_is_measured(tmp_path: Path) -> None:
    growing: list[list[object]] = [[Grown(0, whole(runs)), CUT] for runs in range(1, 9)]
    target = Target(a=[*growing, [CUT], [CUT], [CUT], [CUT], [Ended(0)]], b=[[Ended(0)]])
    watch = Watch()
    assert followed(target, watch, tmp_path) == {"a": None, "b": 0}
    assert len(target.errands["a"]) == 12
    assert watch.lines[-1] == "a: error: lost: the link is gone; given up after 4 tries"
    assert measured(tmp_path / "a") == 8


def test_what_cannot_be_started_again_counts_as_a_loss(tmp_path: Path) -> None:
    class Refusing(Target):
        def start(self, errands: Mapping[str, Errand]) -> Mapping[str, Run]:
            if self.errands["a"]:
                raise UsageError("no node is left")
            return super().start(errands)

    watch = Watch()
    assert followed(Refusing(a=[[CUT]]), watch, tmp_path) == {"a": None}
    assert watch.lines[-1] == "a: error: no node is left; given up after 4 tries"


def test_ctrl_c_ends_what_runs_elsewhere_and_keeps_what_comes(tmp_path: Path) -> None:
    target = Target(a=[[Grown(0, whole(1)), WAIT]], b=[[CUT], [WAIT]])
    watch = Watch(interrupts=True)
    codes = followed(target, watch, tmp_path)
    assert codes == {"a": 130, "b": 130}
    assert measured(tmp_path / "a") == 1
    assert not any("interrupted" in line for line in watch.lines)


def test_a_piece_that_is_missing_is_a_loss(tmp_path: Path) -> None:
    part = tmp_path / "a"
    grow(part, Grown(0, b"12345"))
    grow(part, Grown(3, b"x"))  # the end of it was void
    assert part.read_bytes() == b"123x"
    with pytest.raises(Lost):
        grow(part, Grown(9, b"y"))


def test_a_disk_that_is_full_here_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise files.CannotWrite("cannot write: no space")

    monkeypatch.setattr(files, "replace", full)
    with pytest.raises(files.CannotWrite):
        followed(Target(a=[[Grown(0, b"1"), Ended(0)]]), Watch(), tmp_path)


def test_runs_and_failures_are_what_is_measured(tmp_path: Path) -> None:
    assert measured(tmp_path / "none") == 0
    (tmp_path / "a").write_bytes(whole(3))
    assert measured(tmp_path / "a") == 3
