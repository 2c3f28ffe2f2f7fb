"""Limits for continuous integration: what breaks them and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.analysis.compare import gate
from effattn_cli.analysis.compare.comparison import PRIMARY, compare
from effattn_cli.analysis.compare.gate import GateLimit
from effattn_cli.errors import UsageError
from effattn_cli.metrics import METRICS
from effattn_cli.records import Record
from tests.builders import MIB, a_cell, a_profile, drawing, failed, measured

LATENCY = GateLimit(METRICS["latency"], 0.05)


def whys(old: Record | None, new: Record | None, limit: GateLimit, *, strict: bool) -> list[str]:
    before, after = (a_profile(*([record] if record else [])) for record in (old, new))
    metrics = {**PRIMARY, limit.metric.name: limit.metric}
    found = compare(before, after, metrics=metrics)
    (outcome,) = gate.outcomes(found, [limit], strict=strict)
    assert outcome.passed == (not outcome.breaches and outcome.cells > 0)
    return [breach.why for breach in outcome.breaches]


QUIET, NOISY = [1.0, 1.001, 0.999], [0.9, 1.0, 1.1]


@pytest.mark.parametrize(
    ("old", "new", "loose", "strict"),
    [
        (QUIET, [1.1 * x for x in QUIET], ["+10.0%"], ["+10.0%"]),
        (QUIET, [1.04 * x for x in QUIET], [], []),
        (QUIET, [0.8 * x for x in QUIET], [], []),
        (NOISY, [1.08 * x for x in NOISY], [], ["unclear, up to +33.3%"]),
        (NOISY, NOISY, [], []),
    ],
)
def test_latency(old: list[float], new: list[float], loose: list[str], strict: list[str]) -> None:
    records = measured(a_cell(), old), measured(a_cell(), new)
    assert whys(*records, LATENCY, strict=False) == loose
    found = whys(*records, LATENCY, strict=True)
    assert [why.split(",")[0] for why in found] == [why.split(",")[0] for why in strict]


def test_memory_and_flops_are_exact() -> None:
    old = measured(a_cell(), QUIET, 100 * MIB, flops=1000)
    new = measured(a_cell(), QUIET, 104 * MIB, flops=2000)
    assert whys(old, new, GateLimit(METRICS["memory"], 0.039), strict=False) == ["+4.0%"]
    assert whys(old, new, GateLimit(METRICS["memory"], 0.04), strict=False) == []
    assert whys(old, new, GateLimit(METRICS["flops"], 0.5), strict=False) == ["+100.0%"]
    nothing = measured(a_cell(), QUIET, 0)
    assert whys(nothing, new, GateLimit(METRICS["memory"], 5.0), strict=False) == ["from nothing"]


def test_energy_is_a_limit_like_the_others() -> None:
    limit = GateLimit(METRICS["energy"], 0.05)
    bare = measured(a_cell(), QUIET)
    old = drawing(bare, *QUIET)
    assert whys(old, drawing(bare, 1.2, 1.201, 1.199), limit, strict=False) == ["+20.0%"]
    assert whys(old, drawing(bare, 1.04, 1.041, 1.039), limit, strict=False) == []
    assert whys(old, drawing(bare, 0.5, 0.501, 0.499), limit, strict=False) == []
    assert whys(drawing(bare, *NOISY), drawing(bare, *NOISY[::-1]), limit, strict=False) == []
    assert whys(old, bare, limit, strict=False) == []
    assert whys(old, bare, limit, strict=True) == ["no energy to compare"]


def test_a_limit_that_nothing_is_held_to_fails() -> None:
    limits = [gate.parse(text) for text in ("latency>5%", "energy>5%", "state>5%")]
    record = measured(a_cell(), QUIET)
    outcomes = gate.outcomes(compare(a_profile(record), a_profile(record)), limits, strict=False)
    assert [one.status for one in outcomes] == ["kept", "nothing to compare", "nothing to compare"]
    assert [one.passed for one in outcomes] == [True, False, False]
    nothing = compare(a_profile(record), a_profile())
    assert not any(one.passed for one in gate.outcomes(nothing, limits, strict=False))


def test_what_is_unclear_is_counted() -> None:
    noisy = compare(a_profile(measured(a_cell(), NOISY)), a_profile(measured(a_cell(), NOISY)))
    (one,) = gate.outcomes(noisy, [LATENCY], strict=False)
    assert (one.cells, one.unclear, one.passed) == (1, 0, True)  # one and the same measurement
    moved = [1.08 * x for x in NOISY]
    found = compare(a_profile(measured(a_cell(), NOISY)), a_profile(measured(a_cell(), moved)))
    (one,) = gate.outcomes(found, [LATENCY], strict=False)
    assert (one.cells, one.unclear, one.passed) == (1, 1, True)
    (one,) = gate.outcomes(found, [LATENCY], strict=True)
    assert (one.cells, one.unclear, one.passed) == (1, 0, False)


@pytest.mark.parametrize("name", ["throughput", "tokens/s", "tokens-per-second"])
def test_a_rate_breaks_its_limit_by_falling(name: str) -> None:
    limit = gate.parse(f"{name}>5%")
    assert limit.metric is METRICS["throughput"]
    old = measured(a_cell(), QUIET)
    slower = measured(a_cell(), [x / 0.9 for x in QUIET])
    assert whys(old, slower, limit, strict=False) == ["-10.0%"]
    assert whys(old, measured(a_cell(), [x / 0.955 for x in QUIET]), limit, strict=False) == []
    assert whys(slower, old, limit, strict=False) == []
    noisy = measured(a_cell(), NOISY), measured(a_cell(), [1.08 * x for x in NOISY])
    assert whys(*noisy, limit, strict=False) == []
    (why,) = whys(*noisy, limit, strict=True)
    assert why.startswith("unclear, up to -")


def test_percentiles_and_state_are_metrics_of_limits() -> None:
    old = measured(a_cell(phase="decode"), QUIET, state_bytes=MIB)
    new = measured(a_cell(phase="decode"), [1.2 * x for x in QUIET], state_bytes=2 * MIB)
    assert whys(old, new, gate.parse("p95>5%"), strict=False) == ["+20.0%"]
    assert whys(old, new, gate.parse("p95>25%"), strict=False) == []
    assert whys(old, new, gate.parse("state>5%"), strict=False) == ["+100.0%"]


def test_a_cell_that_fails_now_breaks_every_limit_and_one_that_is_gone_a_strict_one() -> None:
    old = measured(a_cell(), QUIET)
    assert whys(old, failed(a_cell()), LATENCY, strict=False) == ["fails now"]
    assert whys(old, None, LATENCY, strict=False) == []
    assert whys(old, None, LATENCY, strict=True) == ["not in the new profile"]
    assert whys(failed(a_cell()), old, LATENCY, strict=True) == []


def test_a_limit_is_read() -> None:
    assert gate.parse("latency>5%") == LATENCY
    assert gate.parse(" Memory > 2.5 % ") == GateLimit(METRICS["memory"], 0.025)


@pytest.mark.parametrize(
    "text", ["", "latency", "latency>5", "latency<5%", "latency>-5%", "x" * 99]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid limit") as caught:
        gate.parse(text)
    assert caught.value.hint is not None
    assert "quote it" in caught.value.hint


def test_a_rate_cannot_fall_by_all_of_itself() -> None:
    with pytest.raises(UsageError, match="cannot fall by 100 %"):
        gate.parse("throughput>100%")


def test_an_unknown_metric_has_its_nearest() -> None:
    with pytest.raises(UsageError, match="unknown metric 'latenci'") as caught:
        gate.parse("latenci>5%")
    assert caught.value.hint == "did you mean 'latency'?"


@given(st.text(max_size=50) | st.text("latencymoryflps>%0123456789. ", max_size=20))
def test_any_text_is_a_limit_or_one_line(text: str) -> None:
    try:
        gate.parse(text)
    except UsageError as error:
        assert len(repr(str(error)).splitlines()) == 1  # noqa: PT017
