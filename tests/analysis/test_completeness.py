"""What a profile lacks is said, and what ended its sweep."""

from msgspec.structs import replace

from effattn_cli.analysis.completeness import TOO_LATE, lacks
from effattn_cli.records import Sampling
from tests.builders import a_cell, a_profile, failed, measured, pending, predicted

WHOLE = measured(a_cell(seq=1024), 1e-3)
SHORT = measured(a_cell(seq=2048), [1e-3])
BUDGET = Sampling(time_budget=30.0)


def test_a_whole_sweep_lacks_nothing() -> None:
    slow = predicted(a_cell(seq=4096), 1.0, why="a call would take about 20 s")
    broken = failed(a_cell(seq=8192))
    assert lacks(a_profile(WHOLE, slow, broken, sampling=BUDGET)) is None
    assert lacks(a_profile(WHOLE, SHORT)) is None  # no budget ended it


def test_what_a_time_budget_ended_says_so() -> None:
    late = predicted(a_cell(seq=4096), 1.0, why=TOO_LATE)
    missing = f"{TOO_LATE}, and no shorter length was measured"
    never = failed(a_cell("linformer"), "too-costly", missing)
    profile = a_profile(WHOLE, SHORT, late, never, sampling=BUDGET)
    assert lacks(profile) == (
        "The time budget of 30 s ended the sweep: 2 of 4 cells have no run,"
        " 1 of 4 cells has fewer than 3 rounds."
    )


def test_an_interrupted_sweep_says_what_is_left() -> None:
    profile = a_profile(WHOLE, SHORT, pending(a_cell(seq=4096)), sampling=BUDGET)
    assert lacks(replace(profile, finished=False)) == (
        "Unfinished: 1 of 3 cells has no result yet, 1 of 3 cells has fewer than 3 rounds."
    )
