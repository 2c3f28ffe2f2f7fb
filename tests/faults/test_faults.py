"""The real command beside plugins that do harm: a failed cell each, and nothing else touched."""

import json
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from effattn_cli import store
from tests.marked import marking, running
from tests.running import MODULE

PLUGINS = Path(__file__).parent / "plugins"
CELLS = ["--dim", "64", "--heads", "2", "-s", "64,128", "--rounds", "1", "--precision", "0.5"]
# Below 4 s the healthy cells run out of time too, beside other work on two cores.
LIMITS = ["--time-limit", "4s", "--memory-limit", "1GiB"]
TIMED_OUT = ("timeout", "no answer within 4 s")
CHANGED = "it changed torch for the whole process: "

#: What each plugin's shortest cell has to say; None where it is measured all the same.
QUICK: dict[str, tuple[str, str] | None] = {
    "aborts": ("crashed", "killed by signal 6 (SIGABRT)"),
    "asks-for-too-much": ("out-of-memory", "would need 4096 GiB, the limit is 1 GiB"),
    "changes-dtype": ("raised", f"{CHANGED}the default dtype from torch.float32 to torch.float64"),
    "changes-grad-mode": ("raised", f"{CHANGED}the grad mode from True to False"),
    "changes-seeds": None,
    "changes-threads": ("raised", f"{CHANGED}the threads from 1 to 3"),
    "closes-its-files": ("crashed", "the process ended with exit code 1"),
    "exits": ("raised", "SystemExit: 5 (exits.py:"),
    "exits-at-once": ("crashed", "the process ended without an answer"),
    "hangs-in-c": TIMED_OUT,
    "interrupts": ("raised", "KeyboardInterrupt"),
    "kills-itself": ("crashed", "killed by signal 9 (SIGKILL)"),
    "leaves-children": None,
    "leaves-threads": None,
    "not-finite": ("not-finite", "NaN or infinity"),
    "prints": ("raised", "RuntimeError: all is printed"),
    "raises-at-import": ("raised", "ImportError: no such thing"),
    "raises-forward": ("raised", "ValueError: no "),
    "raises-in-construction": ("raised", "KeyError: 'weights'"),
    "segfaults": ("crashed", "killed by signal 11 (SIGSEGV)"),
    "takes-too-much": ("out-of-memory", "Unable to allocate"),
    "wrong-shape": ("wrong-shape", "the output is (1, 2, 64, 1)"),
}
SLOW: dict[str, tuple[str, str] | None] = {
    "hangs-at-import": TIMED_OUT,
    "hangs-in-python": TIMED_OUT,
    "kills-the-server": ("crashed", "killed by signal 9 (SIGKILL)"),
    "leaves-children-and-hangs": TIMED_OUT,
    "works-in-c": TIMED_OUT,
}
#: Can be called; fails where it is trained.
BACKWARD = {"raises-backward": ("raised", "ArithmeticError: no way back")}


def command(names: Iterable[str], path: Path, *words: str) -> list[str]:
    """The real command on some plugins, beside `sdpa`."""
    sweep = ["profile", "--plugin", str(PLUGINS), "-v", ",".join(names), "--threads", "1"]
    told = ["--json", "--quiet", "--out", str(path)]
    return [*MODULE, *sweep, *CELLS, *LIMITS, *words, *told]


class Sweep:
    """One run of the command, and what it left."""

    def __init__(self, names: Iterable[str], folder: Path, *words: str) -> None:
        path, mark = folder / "p.yaml", uuid.uuid4().hex
        environment = marking(mark) | {"COLUMNS": "80", "NO_COLOR": "1"}
        self.ran = subprocess.run(
            command(names, path, *words),
            capture_output=True, text=True, env=environment, timeout=240, check=False,
        )  # fmt: skip
        self.left = running(mark)
        assert self.ran.stderr == f"saved: {path}\n"
        self.records: list[dict[str, Any]] = json.loads(self.ran.stdout)["records"]
        self.profile = store.read(path)

    def of(self, name: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["cell"]["variant"] == name]

    def check(self, name: str, outcome: tuple[str, str] | None) -> None:
        """The plugin's cells say what happened, and those of `sdpa` are measured."""
        first, *_ = cells = self.of(name)
        assert [record["cell"]["seq"] for record in cells] == [64, 128]
        if outcome is None:
            assert all(record["runs"] and not record["failure"] for record in cells)
        else:
            assert first["failure"]["reason"] == outcome[0]
            assert outcome[1] in first["failure"]["message"]
            assert all(r["failure"]["reason"] == outcome[0] for r in cells)
            assert not any(record["runs"] for record in cells)
        assert self.profile.finished
        for record in self.of("sdpa"):
            assert record["runs"]
            assert record["memory"]
            assert record["cost"]
            assert not record["failure"]
            assert not record["warnings"]


together = pytest.mark.xdist_group("quick")  # in one worker: the sweep behind them is made once


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return Sweep(QUICK, tmp_path_factory.mktemp("quick"))


def test_every_plugin_has_its_outcome() -> None:
    names = {path.stem.replace("_", "-") for path in PLUGINS.glob("*.py")}
    assert names == {*QUICK, *SLOW, *BACKWARD}


@pytest.mark.in_ci
@together
@pytest.mark.parametrize("name", QUICK)
def test_harm_is_a_failed_cell_with_its_reason(quick: Sweep, name: str) -> None:
    quick.check(name, QUICK[name])


@pytest.mark.in_ci
@together
def test_surprises_are_exit_code_3_and_nothing_is_left_running(quick: Sweep) -> None:
    assert quick.ran.returncode == 3
    assert quick.left == []


@pytest.mark.in_ci
@together
def test_only_the_last_lines_of_what_it_printed_are_kept(quick: Sweep) -> None:
    for record in quick.of("prints"):
        assert "RuntimeError: all is printed" in record["failure"]["output"]
        assert sum(map(len, record["failure"]["output"])) < 20_000


@pytest.mark.in_ci
@together
def test_costs_are_counted_as_if_the_others_were_not_there(quick: Sweep, tmp_path: Path) -> None:
    alone = Sweep(["sdpa"], tmp_path)
    assert alone.ran.returncode == 0
    assert [r["cost"] for r in alone.of("sdpa")] == [r["cost"] for r in quick.of("sdpa")]


@pytest.mark.in_ci
def test_a_backward_that_fails_spares_the_forward(tmp_path: Path) -> None:
    sweep = Sweep(BACKWARD, tmp_path, "--phase", "forward,train")
    assert sweep.ran.returncode == 3
    assert sweep.left == []
    for record in sweep.of("raises-backward"):
        if record["cell"]["setting"]["phase"] == "forward":
            assert record["runs"]
        else:
            assert record["failure"]["reason"] == "raised"
            assert BACKWARD["raises-backward"][1] in record["failure"]["message"]
    assert all(record["runs"] for record in sweep.of("sdpa"))


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_left_when_the_run_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    mark = uuid.uuid4().hex
    words = command(["leaves-children-and-hangs"], tmp_path / "p.yaml", "--time-limit", "60s")
    run = subprocess.Popen(
        words, env=marking(mark),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    sleeping = 0
    while sleeping < 2:  # until the plugin's children are there
        time.sleep(0.05)
        assert run.poll() is None
        sleeping = sum(process.name() == "sleep" for process in running(mark))
    run.send_signal(number)
    assert run.wait(60) == (-number if number == signal.SIGKILL else 130)
    deadline = time.monotonic() + 60
    while running(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(mark) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_harm_alone(tmp_path: Path, name: str) -> None:
    outcome = (QUICK | SLOW)[name]
    sweep = Sweep([name], tmp_path)
    sweep.check(name, outcome)
    expected = outcome is None or outcome[0] in {"timeout", "out-of-memory"}
    assert sweep.ran.returncode == (0 if expected else 3)
    assert sweep.left == []
