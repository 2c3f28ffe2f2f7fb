import dataclasses
import io
import threading

import pytest
from inline_snapshot import snapshot
from rich.console import Console

from effattn_cli.records import Record
from effattn_cli.report.profile.progress import Progress
from effattn_cli.run.events import RETRY, Step
from tests.builders import MIB, MS, a_cell, failed, measured, pending, predicted

CELL = a_cell("linformer", 4096)


def a_step(record: Record, *, settled: bool = True, done: int = 3, left: float | None = 95) -> Step:
    return Step(
        record=record, stage="round 1/3", done=done, total=14, seconds_left=left, settled=settled
    )


def told(*steps: Step, terminal: bool = False, quiet: bool = False) -> str:
    file = io.StringIO()
    console = Console(
        file=file, width=80, force_terminal=terminal, color_system=None, _environ={"TERM": "xterm"}
    )
    with Progress(console, quiet=quiet) as progress:
        for step in steps:
            progress(step)
        progress.note("warning: the machine is busy")
    return file.getvalue()


def test_without_a_terminal_each_settled_cell_is_a_plain_line() -> None:
    peak = int(12.1 * MIB)
    steps = [
        a_step(pending(CELL), settled=False),
        a_step(measured(CELL, 2.31 * MS, peak), settled=False),
        a_step(measured(CELL, 2.31 * MS, peak)),
        a_step(measured(CELL, 2.31 * MS, peak, background_load=1.24)),
        a_step(failed(CELL, "out-of-memory", "would need 41.0 GiB"), done=4),
        a_step(predicted(CELL, 62.1, 64 * MIB, why="a call would take about 62.1 s"), done=4),
        a_step(pending(CELL), done=5),
    ]
    assert told(*steps) == snapshot("""\
linformer seq 4k: 2.31 ms, 12.1 MiB (3/14)
linformer seq 4k: 2.31 ms, 12.1 MiB, other processes kept 1.2 cores busy (3/14)
linformer seq 4k: out of memory: would need 41.0 GiB (4/14)
linformer seq 4k: ~62.1 s, ~64.0 MiB, predicted: a call would take about 62.1 s (4/14)
linformer seq 4k: no result (5/14)
warning: the machine is busy
""")


def test_a_second_try_is_said_to_be_one() -> None:
    step = dataclasses.replace(a_step(measured(CELL, 2 * MS)), stage=RETRY, done=14)
    line = "measured again, the machine was slow: linformer seq 4k: 2.00 ms, 4.0 MiB (14/14)"
    assert told(step).splitlines()[0] == line


def test_lines_are_never_folded_or_obeyed() -> None:
    line = told(
        a_step(failed(CELL, "raised", "RuntimeError: \x1b[2J" + 30 * "many words "))
    ).splitlines()[0]
    assert r"\x1b[2J" in line
    assert line.endswith("many words (3/14)")


def test_quiet_says_nothing() -> None:
    assert told(a_step(measured(CELL, 1.0)), quiet=True) == ""
    assert told(a_step(measured(CELL, 1.0)), quiet=True, terminal=True) == ""


@pytest.mark.parametrize(
    ("step", "where", "what"),
    [
        (a_step(pending(CELL), done=0, left=None), "0/14", "round 1/3"),
        (
            a_step(measured(CELL, 2.31 * MS)),
            "3/14  1 min 35 s left",
            "round 1/3  2.31 ms ±1 % so far",
        ),
        (a_step(failed(CELL), left=0.2), "3/14  under 1 s left", "round 1/3"),
    ],
)
def test_on_a_terminal_two_lines_say_where_it_is(step: Step, where: str, what: str) -> None:
    first, second, *_ = told(step, terminal=True).splitlines()
    assert first.rstrip().endswith(where)
    assert second == f"linformer, 4k tokens: {what}"


def test_on_a_terminal_notes_stay_and_the_rest_goes() -> None:
    shown = told(a_step(pending(CELL), settled=False), terminal=True)
    assert "warning: the machine is busy\n" in shown
    # Show the cursor again, go up and wipe both lines.
    assert shown.endswith("\x1b[?25h\r\x1b[1A\x1b[2K\x1b[1A\x1b[2K")


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, _environ={"TERM": "dumb"})
    with Progress(console) as progress:
        progress(a_step(measured(CELL, 1.0)))
    assert file.getvalue() == "linformer seq 4k: 1.00 s, 4.0 MiB (3/14)\n"


def test_nothing_runs_between_steps() -> None:
    before = threading.active_count()
    file = io.StringIO()
    with Progress(Console(file=file, force_terminal=True, _environ={"TERM": "xterm"})) as progress:
        progress(a_step(pending(CELL), settled=False))
        assert threading.active_count() == before
        written = file.tell()
        assert written > 0
        progress(a_step(pending(CELL), settled=False))
        assert file.tell() > written
