"""The search for a crossover, with processes that answer at once."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.analysis.crossover.crossing import NEAR, crossover
from effattn_cli.analysis.crossover.next_length import CLOSE, ENOUGH, GRAIN, next_length
from effattn_cli.analysis.series import by_setting
from effattn_cli.catalog import Catalog
from effattn_cli.metrics import LATENCY
from effattn_cli.records import Cell, Profile, Record, Sampling
from effattn_cli.run.context import RunContext
from effattn_cli.run.crossover_search import CrossoverSearch
from effattn_cli.run.jobs import MeasureMemory, MeasureRoofline
from effattn_cli.setting import Setting
from tests.builders import a_machine
from tests.fake_launcher import FakeLauncher, seconds
from tests.run.test_scheduler import Saved

FIRST, LAST = 256, 65536


def found(crossing: float, guess: float) -> tuple[float, float, int]:
    """Where a search ends whose curve crosses at `crossing`, and whose costs say `guess`."""
    measured: dict[int, float] = {}
    expected = {seq: seq / guess for seq in (256, 1024, 4096, 16384, 65536)}
    while (seq := next_length(measured, expected, FIRST, LAST)) is not None:
        assert seq not in measured
        assert FIRST <= seq <= LAST
        measured[seq] = (seq / crossing) ** 0.7
        assert len(measured) < 40
    low = max((seq for seq, ratio in measured.items() if ratio <= 1), default=0)
    high = min((seq for seq, ratio in measured.items() if ratio > 1), default=math.inf)
    return low, high, len(measured)


@given(st.floats(100, 200_000), st.floats(100, 200_000))
def test_it_ends_with_the_crossover_between_two_near_lengths(crossing: float, guess: float) -> None:
    low, high, steps = found(crossing, guess)
    assert low <= crossing <= high
    if low and high < math.inf:
        assert high / low <= CLOSE or high - low <= 2 * GRAIN
    else:  # not between the bounds, and both bounds tell
        assert (low or high) in {FIRST, LAST}
    assert steps <= 14


def test_a_good_guess_needs_few_lengths() -> None:
    assert found(3000, 3000)[2] <= ENOUGH + 1


@given(st.floats(1000, 20_000))
def test_it_ends_with_enough_lengths_near_the_crossover(crossing: float) -> None:
    measured: dict[int, float] = {}
    while (seq := next_length(measured, {256: 0.5, 65536: 2.0}, FIRST, LAST)) is not None:
        measured[seq] = (seq / crossing) ** 0.7
    near = [seq for seq in measured if crossing / NEAR <= seq <= crossing * NEAR]
    assert len(near) == ENOUGH
    assert min(near) < crossing / 1.1
    assert max(near) > crossing * 1.1


@pytest.mark.parametrize("budget", [None, 1e9])
def test_it_measures_few_lengths_and_finds_the_truth(budget: float | None) -> None:
    launcher = FakeLauncher()
    profile = searched(launcher, budget)
    (series,) = by_setting(profile.records)
    crossing = crossover(series, "linformer", "sdpa", LATENCY)
    assert crossing is not None
    # In the fake, linformer takes 1 ms per 1k tokens, sdpa that squared: they meet at 1k.
    assert crossing.crossing.at == pytest.approx(1024, rel=0.1)
    assert seconds(Cell(variant="sdpa", seq=1024)) == seconds(Cell(variant="linformer", seq=1024))
    measured = {cell.seq for cell in launcher.measured(MeasureMemory)}
    assert len(measured) <= 6
    assert max(measured) < 16384  # nothing far from the crossover was paid for
    assert profile.finished
    assert all(record.status == "measured" for record in profile.records)


def test_the_time_budget_ends_it_between_two_lengths() -> None:
    launcher = FakeLauncher()
    profile = searched(launcher, 4.5)  # for the runs of one length, as they are estimated
    assert {record.cell.seq for record in profile.records} == {1024}
    assert {len(record.runs) for record in profile.records} == {3}
    assert searched(FakeLauncher(), 1.0).records == ()


def searched(
    launcher: FakeLauncher, budget: float | None, batches: tuple[int, ...] = (1,)
) -> Profile:
    saver = Saved()
    seqs = [256 << place for place in range(9)]
    cells = [
        Cell(variant=name, seq=seq, setting=Setting(batch=batch))
        for name in ("sdpa", "linformer")
        for batch in batches
        for seq in seqs
    ]
    profile = Profile(
        created="2026-11-23T12:00:00+00:00",
        command="effattn crossover",
        machine=a_machine(),
        sampling=Sampling(time_budget=budget),
        baseline="sdpa",
        variants={name: Catalog().variant(name) for name in ("sdpa", "linformer")},
        records=tuple(Record(cell=cell) for cell in cells),
    )
    context = RunContext(
        launcher=launcher,
        memory_limit=2**40,
        saver=saver,
        watch=lambda _: None,
        clock=launcher.clock,
    )
    found = CrossoverSearch(profile, context).run()
    assert saver.profiles[-1:] == ([found] if found.records else [])  # nothing is not worth a file
    return found


def test_the_roofline_is_measured_once_and_goes_into_the_profile() -> None:
    launcher = FakeLauncher()
    profile = searched(launcher, None)
    assert len(profile.records) > 4
    assert sum(isinstance(job.request, MeasureRoofline) for job in launcher.jobs) == 1
    assert len(profile.rooflines) == 1


def test_each_batch_size_is_a_search_of_its_own() -> None:
    profile = searched(FakeLauncher(), None, batches=(1, 2))
    for batch in (1, 2):
        own = {r.cell.seq for r in profile.records if r.cell.setting.batch == batch}
        assert own == {r.cell.seq for r in searched(FakeLauncher(), None).records}
