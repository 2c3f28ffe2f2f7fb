"""A roofline that something speaks against is marked, or raised."""

from typing import Any

import pytest
from msgspec.structs import replace

from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.cost.roofline_checks import checked, raised
from effattn_cli.records import Bandwidth, Cost, Record
from tests.builders import a_cell, a_profile, measured

ROOFLINE = replace(
    utilisation.ANY,
    device="cpu",
    threads=2,
    flops=1e11,
    exponentials=1e9,
    bandwidths=tuple(Bandwidth(working_set_bytes=1 << n, speed=1e10) for n in (17, 20, 28)),
)


def costing(seconds: float, /, label: str = "sdpa", **cost: Any) -> Record:
    usual = {
        "matmul_flops": 0, "other_flops": 0, "transcendentals": 0, "read_bytes": 0,
        "write_bytes": 0, "peak_bytes": 0, "operators": 1,
    }  # fmt: skip
    record = measured(a_cell(label, 4096), seconds, spread=0.0)
    return replace(record, cost=Cost(**(usual | cost)))


def test_threads_that_do_less_than_one_are_doubtful() -> None:
    one = replace(ROOFLINE, threads=1, flops=1.2e11)
    first, second = checked((ROOFLINE, one))
    assert first.doubts == ("2 threads are slower than one at products",)
    assert second.doubts == ()
    assert checked((replace(ROOFLINE, flops=1.3e11), one))[0].doubts == ()
    other = replace(one, dtype="bfloat16")
    assert checked((ROOFLINE, other))[0].doubts == ()


@pytest.mark.parametrize(
    "cost",
    [
        {"matmul_flops": 10**11, "transcendentals": 10**8},
        {"matmul_flops": 10**10, "transcendentals": 10**9},
        {"read_bytes": 8 << 20, "write_bytes": 8 << 20},
        {"operators": 1000},
    ],
)
def test_a_cell_that_beats_the_roofline_raises_it(cost: dict[str, Any]) -> None:
    record = costing(1.0, **cost)
    assert record.cost is not None
    seconds = max(utilisation.limits(record.cost, ROOFLINE).values()) / 1.25
    fast = costing(seconds, **cost)
    (higher,) = raised(a_profile(fast, rooflines=(ROOFLINE,)))
    used = utilisation.utilisation(fast, (higher,))
    assert used is not None
    assert used.fraction == pytest.approx(1.0)
    assert higher.raised[0].startswith("sdpa at 4k was 1.25 times as fast")
    assert raised(a_profile(fast, rooflines=(higher,)))[0].flops == pytest.approx(higher.flops)


def test_a_slower_cell_and_an_implausible_one_raise_nothing() -> None:
    slow = costing(1.1, matmul_flops=10**11)
    wrong = costing(0.1, "linformer", matmul_flops=10**11)
    assert raised(a_profile(slow, wrong, rooflines=(ROOFLINE,))) == (ROOFLINE,)
    known = costing(0.1, matmul_flops=10**11)
    assert raised(a_profile(known, rooflines=(ROOFLINE,)))[0].flops == pytest.approx(1e12)
