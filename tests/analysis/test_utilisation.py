import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli.analysis.cost import utilisation
from effattn_cli.records import Bandwidth, Cost, Roofline
from tests.builders import a_cell, measured, pending, predicted

UNDER = Roofline(
    device="cpu", dtype="float32", threads=2, flops=1e11, exponentials=1e9, dispatch=1e-6,
    bandwidths=(
        Bandwidth(working_set_bytes=10**4, speed=4e10),
        Bandwidth(working_set_bytes=10**8, speed=1e10),
    ),
)  # fmt: skip


def a_cost(**facts: int) -> Cost:
    usual = {
        "matmul_flops": 0, "other_flops": 0, "transcendentals": 0, "read_bytes": 0,
        "write_bytes": 0, "peak_bytes": 0, "operators": 10,
    }  # fmt: skip
    return Cost(**(usual | facts))


@pytest.mark.parametrize(
    ("cost", "bound", "fraction"),
    [
        (a_cost(matmul_flops=10**8), "compute", 0.1),
        (a_cost(transcendentals=10**6, matmul_flops=10**8), "compute", 0.2),
        (a_cost(read_bytes=10**9, write_bytes=10**9), "bandwidth", 20.0),
        (a_cost(read_bytes=5 * 10**4, write_bytes=5 * 10**4, operators=1000), "overhead", 0.1),
    ],
)
def test_what_binds_is_what_takes_longest_at_best(cost: Cost, bound: str, fraction: float) -> None:
    record = replace(measured(a_cell(), 0.01), cost=cost)
    found = utilisation.utilisation(record, [UNDER])
    assert found is not None
    assert found.bound == bound
    assert found.fraction == pytest.approx(fraction)


def test_nothing_is_said_without_a_measurement_or_of_another_program() -> None:
    record = measured(a_cell(), 0.01)
    assert utilisation.utilisation(record, []) is None
    assert utilisation.utilisation(record, [replace(UNDER, threads=1)]) is None
    assert utilisation.utilisation(pending(a_cell()), [UNDER]) is None
    assert utilisation.utilisation(predicted(a_cell(), 0.01), [UNDER]) is None
    assert utilisation.utilisation(replace(record, cost=None), [UNDER]) is None
    compiled = replace(record, cell=a_cell(engine="compile"))
    assert utilisation.utilisation(compiled, [UNDER]) is None


@pytest.mark.parametrize(
    ("touched", "speed"), [(1, 4e10), (10**4, 4e10), (10**6, 2e10), (10**8, 1e10), (10**12, 1e10)]
)
def test_bandwidth_lies_between_the_measured_sizes(touched: int, speed: float) -> None:
    assert utilisation.bandwidth(UNDER, touched) == pytest.approx(speed)


@given(
    st.builds(a_cost, matmul_flops=st.integers(0, 10**12), read_bytes=st.integers(0, 10**12)),
    st.integers(0, 10**12),
)
def test_more_work_never_takes_less(cost: Cost, more: int) -> None:
    before = utilisation.seconds(cost, UNDER)
    harder = replace(cost, matmul_flops=cost.matmul_flops + more, read_bytes=cost.read_bytes + more)
    assert utilisation.seconds(harder, UNDER) >= before >= utilisation.CALL
