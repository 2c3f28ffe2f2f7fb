"""Which choices are near enough, on errors that a test can state."""

import pytest
from msgspec.structs import replace

from effattn_cli.analysis import fidelity
from effattn_cli.evaluation import Evidence, Fidelity
from effattn_cli.records import Cost
from tests.builders import a_cell


def evidence(label: str, flops: int | None, **errors: float | tuple[float, ...]) -> Evidence:
    """The errors by regime; a single number is that of four heads alike."""
    found = tuple(
        Fidelity(regime=name, errors=(error,) * 4 if isinstance(error, float) else error)
        for name, error in errors.items()
    )
    cost = None
    if flops is not None:
        cost = Cost(
            matmul_flops=flops, other_flops=0, transcendentals=0, read_bytes=0, write_bytes=0,
            peak_bytes=0,
        )  # fmt: skip
    return Evidence(cell=a_cell(label), cost=cost, fidelity=found)


def test_the_mean_has_an_interval() -> None:
    found = fidelity.mean((1.0, 2.0, 3.0))
    assert found is not None
    assert found.value == 2
    assert found.half == pytest.approx(4.30265 / 3**0.5, rel=1e-5)
    assert fidelity.mean((0.5,)) == fidelity.Mean(0.5, None)
    assert fidelity.mean(()) is None


def test_the_cheapest_that_is_near_enough_is_named() -> None:
    records = [
        evidence("sliding-window:window=512", 300, local=0.01, clustered=0.2),
        evidence("sliding-window:window=128", 100, local=0.04, clustered=0.6),
        evidence("sliding-window:window=64", 50, local=0.07, clustered=0.9),
        evidence("sdpa", 400, local=0.0, clustered=0.0),
    ]
    window, sdpa = fidelity.nearnesses(records, 0.05)
    assert window.near == {"local": records[1]}
    assert window.beyond == {"clustered": (records[0], 0.2)}
    assert (window.variant, window.choices) == ("sliding-window", 3)
    assert sdpa.near == {"local": records[3], "clustered": records[3]}
    assert not sdpa.beyond


def test_what_may_be_above_the_limit_is_not_below_it() -> None:
    records = [evidence("sdpa", 1, local=(0.01, 0.07))]
    (nearness,) = fidelity.nearnesses(records, 0.05)  # the mean is 0.04
    assert not nearness.near
    (nearness,) = fidelity.nearnesses(records, 0.5)
    assert nearness.near == {"local": records[0]}


def test_what_failed_is_neither() -> None:
    records = [evidence("sdpa", None, local=())]
    assert fidelity.nearnesses(records, 0.05) == [fidelity.Nearness("sdpa", 1, {}, {})]


def test_an_unknown_cost_is_the_dearest() -> None:
    records = [
        evidence("performer:features=4", None, local=0.0),
        evidence("performer", 9, local=0.0),
    ]
    (nearness,) = fidelity.nearnesses(records, 0.05)
    assert nearness.near == {"local": records[1]}


def test_only_what_is_alike_stands_in_one_group() -> None:
    one, other = evidence("sdpa", 1, local=0.0), evidence("performer", 1, local=0.5)
    longer = replace(one, cell=one.cell.resized(2048))
    causal = replace(one, cell=a_cell("sdpa", causal=True))
    nothing = replace(one, cell=a_cell("gqa"), fidelity=())
    groups = list(fidelity.groups([one, longer, other, causal, nothing]).values())
    assert groups == [[one, other], [longer], [causal]]
