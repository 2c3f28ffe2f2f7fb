import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli.analysis.reliability import (
    half_width,
    outliers,
    slow_runs,
)
from effattn_cli.metrics import latency_interval
from effattn_cli.records import Record, Run
from tests.builders import a_cell, a_run, failed, measured, pending, predicted

LATENCIES = st.floats(1e-6, 1e3)


def test_the_interval_holds_what_varies_between_runs() -> None:
    record = measured(a_cell(), [0.9, 1.0, 1.2], spread=0.0)
    assert latency_interval(record) == (0.9, 1.2)
    assert half_width(record) == pytest.approx(0.2)


def test_the_interval_holds_what_varies_within_a_run() -> None:
    found = latency_interval(measured(a_cell(), [1.0, 1.0], spread=0.1))
    assert found == pytest.approx((0.9, 1.1))


def test_of_many_samples_the_outer_ones_do_not_count() -> None:
    found = latency_interval(measured(a_cell(), [1.0, 1.0], spread=0.5, count=101))
    assert found is not None
    assert 0.85 < found[0] < 0.95
    assert 1.05 < found[1] < 1.15


def test_a_prediction_has_the_interval_it_gives() -> None:
    assert latency_interval(predicted(a_cell(), 8.0, band=0.25)) == (6.0, 10.0)


@pytest.mark.parametrize(
    "record",
    [pending(a_cell()), failed(a_cell()), measured(a_cell(), [1.0], count=1)],
    ids=["pending", "failed", "one sample"],
)
def test_where_nothing_is_known_there_is_no_interval(record: Record) -> None:
    assert latency_interval(record) is None
    assert half_width(record) is None


def test_a_failure_outweighs_the_runs_before_it() -> None:
    record = measured(a_cell(), 1.0)
    assert latency_interval(replace(record, failure=failed(a_cell()).failure)) is None


@given(
    st.lists(LATENCIES, min_size=1, max_size=5),
    st.floats(0, 0.5),
    st.integers(2, 40),
    LATENCIES,
)
def test_it_holds_the_latency_and_a_further_run_never_narrows_it(
    medians: list[float], spread: float, count: int, further: float
) -> None:
    record = measured(a_cell(), medians, spread=spread, count=count)
    found = latency_interval(record)
    assert found is not None
    assert record.seconds is not None
    assert found[0] <= record.seconds <= found[1]
    assert all(found[0] <= part.median <= found[1] for part in record.runs)
    wider = latency_interval(replace(record, runs=(*record.runs, a_run(further))))
    assert wider is not None
    assert wider[0] <= found[0]
    assert wider[1] >= found[1]


@pytest.mark.parametrize(("load", "told"), [(None, None), (0.05, None), (0.1, 0.1), (1.3, 1.3)])
def test_background_load_is_told_only_where_it_matters(
    load: float | None, told: float | None
) -> None:
    assert measured(a_cell(), 1.0, background_load=load).background_load == told


def of_runs(*parts: Run) -> Record:
    return replace(measured(a_cell(), 1.0), runs=parts)


def test_outliers_are_far_from_the_middle_half_of_their_run() -> None:
    calm = a_run(1.0, spread=0.02, count=20)
    disturbed = replace(calm, samples=(*calm.samples[:19], 1.5, 0.5))
    assert outliers(of_runs(calm, a_run(1.5, spread=0.02, count=20))) == ()
    assert outliers(of_runs(calm, disturbed)) == (1.5, 0.5)


def test_few_samples_have_no_outliers() -> None:
    assert outliers(of_runs(replace(a_run(1.0), samples=(1.0,) * 6 + (9.0,)))) == ()


def test_slow_runs_are_those_beside_the_best_of_the_same_device() -> None:
    def kernel(device: str, *seconds: float | None) -> Record:
        parts = [replace(a_run(1.0), calibration=value) for value in seconds]
        return replace(measured(a_cell(device=device), 1.0), runs=tuple(parts))

    here, there = kernel("cpu", 1.0, 1.15, 1.5), kernel("cuda:0", 9.0, 18.0)
    assert slow_runs([here, there]) == [(here, 2, 1.5), (there, 1, 2.0)]
    assert slow_runs([kernel("cpu", None, None), kernel("cpu", 3.0, None)]) == []


@pytest.mark.parametrize(("follows", "number"), [(True, 12), (False, 0)])
def test_where_cells_do_not_follow_the_kernel_no_run_is_slow(follows: bool, number: int) -> None:
    def cell(seq: int) -> Record:
        times = [1.0, 1.5, 1.01]
        latencies = [t if follows else 1 + seq % 3 / 50 for t in times]
        parts = [
            replace(a_run(mine), calibration=t) for mine, t in zip(latencies, times, strict=True)
        ]
        return replace(measured(a_cell(seq=seq), 1.0), runs=tuple(parts))

    assert len(slow_runs([cell(seq) for seq in range(1, 13)])) == number
