import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.selection.curves import REACH, Curve
from effattn_cli.estimate import Estimate
from effattn_cli.metrics import LATENCY, MEMORY, percentile
from effattn_cli.records import Bandwidth
from tests.analysis.grids import CURVES, SEQS, grid, peak, seconds
from tests.builders import a_cell, a_memory, failed, measured, pending, predicted

NAMES = sorted(CURVES)


@given(st.sampled_from(NAMES), st.integers(SEQS[0], SEQS[-1]), st.booleans())
def test_between_measured_lengths_the_truth_is_in_the_interval(
    name: str, seq: int, coarse: bool
) -> None:
    """Curves of a constant, a linear and a square term; at lengths that double or quadruple."""
    records = grid(SEQS[:: 2 if coarse else 1], names=[name])
    time, memory = Curve(records, LATENCY).at(seq), Curve(records, MEMORY).at(seq)
    assert time is not None
    assert memory is not None
    assert time.low <= seconds(name, seq) <= time.high
    assert memory.low <= peak(name, seq) <= memory.high
    assert time.basis == ("measured" if seq in {r.cell.seq for r in records} else "interpolated")


@given(st.sampled_from(NAMES), st.integers(SEQS[-1] + 1, SEQS[-1] * REACH))
def test_beyond_them_the_counted_cost_leads_and_the_band_widens(name: str, seq: int) -> None:
    curve = Curve(grid(names=[name]), LATENCY)
    found = curve.at(seq)
    assert found is not None
    assert found.basis == "predicted"
    assert found.sources == (SEQS[-1],)
    assert found.low <= seconds(name, seq) <= found.high
    further = curve.at(min(4 * seq, SEQS[-1] * REACH))
    assert further is not None
    assert further.high / further.low >= found.high / found.low - 1e-9


@given(st.sampled_from(NAMES), st.integers(SEQS[0] // 4, SEQS[0] - 1))
def test_below_them_what_is_done_once_is_allowed_for(name: str, seq: int) -> None:
    found = Curve(grid(names=[name]), LATENCY).at(seq)
    assert found is not None
    assert found.high >= seconds(name, seq)


def test_too_far_beyond_nothing_is_said() -> None:
    curve = Curve(grid(), LATENCY)
    assert Curve(grid(names=["sdpa"]), LATENCY).at(SEQS[-1] * REACH + 1) is None
    assert curve.longest == SEQS[-1] * REACH


def test_one_length_that_was_not_counted_leads_nowhere() -> None:
    record = measured(a_cell("sdpa"), 1.0)
    assert Curve([record], LATENCY).at(2048) is None
    assert Curve([record], LATENCY).at(1024) is not None


def test_both_ends_uncertainty_is_in_the_interval() -> None:
    low = measured(a_cell("sdpa", 1024), 1.0, spread=0.3, count=5)
    high = measured(a_cell("sdpa", 4096), 4.0, spread=0.01)
    found = at(2048, low, high)
    assert found.low < 2.0 / 1.3
    assert found.high > 2.0 * 1.3


def test_a_counted_length_is_placed_by_its_cost() -> None:
    """At 2k the cost is nearly that of 4k, and so is the time."""
    low = measured(a_cell("sdpa", 1024), 1.0, flops=10**10)
    high = measured(a_cell("sdpa", 4096), 4.0, flops=4 * 10**10)
    flat = at(2048, low, high)
    between = measured(a_cell("sdpa", 2048), 1.0, flops=38 * 10**9)
    costly = at(2048, low, type(between)(cell=between.cell, cost=between.cost), high)
    assert flat.value == pytest.approx(2.0)
    assert costly.value == pytest.approx(3.8, rel=0.01)


def test_a_counted_length_beyond_is_predicted_from_its_cost() -> None:
    record = measured(a_cell("sdpa", 4096), 1.0, flops=10**10)
    more = measured(a_cell("sdpa", 8192), 1.0, flops=4 * 10**10)
    found = at(8192, record, type(more)(cell=more.cell, cost=more.cost))
    assert found.basis == "predicted"
    assert found.value == pytest.approx(4.0)


def test_a_prediction_between_measurements_gives_way_to_them() -> None:
    records = [measured(a_cell("sdpa", seq), seq / 1024) for seq in (1024, 4096)]
    wrong = predicted(a_cell("sdpa", 2048), 100.0)
    assert at(2048, records[0], wrong, records[1]).value == pytest.approx(2.0)


def test_a_measured_peak_counts_where_the_time_is_predicted() -> None:
    ends = [measured(a_cell("sdpa", seq), 1.0, seq) for seq in (1024, 4096)]
    between = replace(predicted(a_cell("sdpa", 2048), 1.0), memory=a_memory(999_999))
    found = Curve([ends[0], between, ends[1]], MEMORY).at(2048)
    assert found is not None
    assert (found.basis, found.value) == ("measured", 999_999)


def test_with_a_roofline_what_is_expected_is_the_sum_of_its_parts() -> None:
    """The bytes stay as they are while the products are four times as many."""
    near = measured(a_cell("sdpa", 4096), 1.0, flops=10**9)
    more = measured(a_cell("sdpa", 8192), 1.0, flops=4 * 10**9)
    bytes_of_both = near.cost.moved_bytes if near.cost else 0
    bandwidth = Bandwidth(working_set_bytes=1, speed=bytes_of_both / 0.01)
    under = replace(utilisation.ANY, flops=1e11, bandwidths=(bandwidth,), dispatch=0.0)
    curve = Curve([near, type(more)(cell=more.cell, cost=more.cost)], LATENCY, under)
    found = curve.at(8192)
    assert found is not None
    assert found.value == pytest.approx((0.04 + 0.01) / (0.01 + 0.01), rel=1e-3)


def test_a_decoding_state_counts_as_memory() -> None:
    record = measured(a_cell("sdpa", phase="decode"), 1.0, 100, state_bytes=900)
    found = Curve([record], MEMORY).at(1024)
    assert found is not None
    assert found.value == 1000


def test_a_percentile_that_was_not_sampled_keeps_its_distance() -> None:
    record = measured(a_cell("sdpa", 1024), 1.0, spread=0.5, count=9)
    curve = Curve([record, predicted(a_cell("sdpa", 4096), 8.0)], percentile(0.95))
    found = curve.at(4096)
    assert found is not None
    assert found.value == pytest.approx(12.0)
    assert not found.known


def test_failed_and_pending_cells_have_no_value() -> None:
    cells = [failed(a_cell("sdpa", 1024)), pending(a_cell("sdpa", 2048))]
    assert Curve(cells, LATENCY).at(1024) is None
    assert Curve(cells, MEMORY).at(2048) is None


def at(seq: int, *records: object) -> Estimate:
    found = Curve(records, LATENCY).at(seq)  # type: ignore[arg-type]
    assert found is not None
    return found


@given(st.floats(1e-6, 1e3), st.floats(1.0, 3.0), st.floats(1.0, 3.0), st.floats(0.5, 0.99))
def test_the_limit_for_a_probability_is_kept_with_it(
    value: float, down: float, up: float, probability: float
) -> None:
    found = Estimate(
        value=value, low=value / down, high=value * up, basis="measured", sources=(1024,)
    )
    limit = found.within(probability)
    assert found.probability(limit) == pytest.approx(probability, abs=1e-6) or up < 1 + 1e-9


@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3), st.floats(1.0, 10.0))
def test_a_looser_limit_has_no_smaller_probability(value: float, limit: float, more: float) -> None:
    found = Estimate(
        value=value, low=value / 1.1, high=value * 1.3, basis="predicted", sources=(1024,)
    )
    assert found.probability(limit) <= found.probability(limit * more)
    assert 0 < found.probability(limit) < 1


def test_lengths_side_by_side_that_differ_widely_carry_nothing_beyond_all_numbers() -> None:
    """A profile by hand, or a hiccup: the exponent between 1000 and 1024 tokens is 1000 here."""
    records = [measured(a_cell(seq=1000), 1e-7, 1), measured(a_cell(seq=1024), 1e4, 2**32)]
    for metric in (LATENCY, MEMORY):
        for seq in (64, 1010, 2048, 1024 * REACH):
            found = Curve(records, metric).at(seq)
            assert found is not None
            assert 0 < found.value < 1e30
