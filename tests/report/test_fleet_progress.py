"""What is told of sweeps on other machines."""

import io
from pathlib import Path

from msgspec.structs import replace
from rich.console import Console

from effattn_cli import store
from effattn_cli.report.profile.fleet_progress import FleetProgress, runs
from tests.builders import a_cell, a_profile, failed, measured, pending, predicted

PROFILE = a_profile(
    measured(a_cell("sdpa", 1024), [0.1, 0.1]),
    pending(a_cell("linformer", 1024)),
    failed(a_cell("linformer", 2048)),
    predicted(a_cell("sdpa", 2048), 1.0),
    finished=False,
)
ROUNDS = PROFILE.sampling.rounds


def screen(*, terminal: bool, quiet: bool = False) -> tuple[io.StringIO, FleetProgress]:
    out = io.StringIO()
    console = Console(
        file=out, width=80, force_terminal=terminal, color_system=None, _environ={"TERM": "xterm"}
    )
    return out, FleetProgress(console, quiet=quiet)


def test_lines_have_the_name_of_what_they_are_of() -> None:
    out, progress = screen(terminal=False)
    with progress:
        progress.said("gpu1", "sdpa seq 1k: 2.31 ms (1/9)")
        progress.said("gpu1", "saved: effattn-profile.yaml")
        progress.said("shard 1/2", "interrupted; what was measured is saved")
        progress.said("shard 1/2", "hint: effattn profile --resume x goes on from here")
        progress.said("shard 1/2", "note: \x1b[2Jlost")
    lines = out.getvalue().splitlines()
    assert lines[0] == "[gpu1] sdpa seq 1k: 2.31 ms (1/9)"
    assert lines[1].startswith("[shard 1/2] note: ")
    assert "\x1b" not in lines[1]
    assert len(lines) == 2


def test_quiet_leaves_what_has_to_be_known() -> None:
    out, progress = screen(terminal=True, quiet=True)
    with progress:
        progress.said("a", "sdpa seq 1k: 2.31 ms")
        progress.said("a", "error: it went wrong")
        progress.said("a", "hint: try this")
    assert out.getvalue() == "[a] error: it went wrong\n[a] hint: try this\n"


def test_a_bar_shows_how_many_runs_each_has(tmp_path: Path) -> None:
    store.Writer(tmp_path / "a").write(PROFILE)
    (tmp_path / "b").write_text("effattn_pro")  # its heading is on the way
    out, progress = screen(terminal=True)
    with progress:
        progress.grown("gpu1", tmp_path / "a")
        progress.grown("gpu2", tmp_path / "b")
        progress.grown("gpu1", tmp_path / "none")  # so soon it is not looked at again
    assert f"2 of {2 * ROUNDS} runs" in out.getvalue()
    assert "gpu2" not in out.getvalue()


def test_cells_that_are_done_for_need_no_more_runs() -> None:
    assert runs(PROFILE) == (2, 2 * ROUNDS)
    more = replace(PROFILE.records[0], runs=PROFILE.records[0].runs * (ROUNDS + 1))
    assert runs(replace(PROFILE, records=(more,))) == (len(more.runs), len(more.runs))
