"""What speaks against a measured roofline."""

import pytest
from msgspec.structs import replace

from effattn_cli.analysis.cost import utilisation
from effattn_cli.measure.ceilings import _doubts
from effattn_cli.records import Bandwidth

SOUND = replace(
    utilisation.ANY,
    exponentials=1e9,
    bandwidths=(Bandwidth(working_set_bytes=1 << 28, speed=2.4e10),),  # 2e9 sums a second
)


@pytest.mark.parametrize(
    ("apart", "busy", "told"),
    [
        (0.05, 0.1, []),
        (0.05, None, []),
        (0.4, 0.1, ["its passes differ by 40 %"]),
        (0.05, 1.6, ["other processes kept 1.6 cores busy"]),
    ],
)
def test_passes_that_differ_and_a_busy_machine_are_told(
    apart: float, busy: float | None, told: list[str]
) -> None:
    assert list(_doubts(SOUND, apart, busy)) == told


def test_exponentials_that_are_far_slower_than_sums_are_told() -> None:
    slow = replace(SOUND, exponentials=1e8)
    assert list(_doubts(slow, 0.0, None)) == ["exponentials take 20 times as long as sums"]
