import doctest
import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli import units
from effattn_cli.report.catalog import card_view

SECONDS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}


def read(text: str, scales: Mapping[str, float]) -> float:
    number, _, unit = text.partition(" ")
    return float(number) * scales[unit]


@pytest.mark.parametrize("module", [units, card_view])
def test_examples_in_docstrings_are_true(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (1e-10, "0.100 ns"),
        (123e-9, "123 ns"),
        (999.4e-9, "999 ns"),
        (999.6e-9, "1.00 µs"),
        (0.00123, "1.23 ms"),
        (0.1, "100 ms"),
        (1.0, "1.00 s"),
        (59.96, "60.0 s"),
        (119.4, "119 s"),
        (119.6, "1.99 min"),
        (1e5, "1670 min"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert units.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (99.94 * 2**10, "99.9 KiB"),
        (99.96 * 2**10, "100 KiB"),
        (1023.6 * 2**10, "1.0 MiB"),
        (3.1 * 2**20, "3.1 MiB"),
        (41 * 2**30, "41.0 GiB"),
        (2**64, "16.0 EiB"),
    ],
)
def test_size(value: float, text: str) -> None:
    assert units.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0 k"), (1.2e9, "1.2 G"), (999.96e6, "1.0 G")],
)
def test_count(value: float, text: str) -> None:
    assert units.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1.00x"), (1.04, "1.04x"), (1.1, "1.1x"), (6.12, "6.1x"), (9.96, "10x"), (118.4, "118x")],
)
def test_ratio(value: float, text: str) -> None:
    assert units.ratio(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2, "under 1 s"),
        (1, "1 s"),
        (60, "1 min"),
        (95, "1 min 35 s"),
        (3605, "1 h"),
        (86400, "1 d"),
    ],
)
def test_duration(value: float, text: str) -> None:
    assert units.duration(value) == text


@given(st.floats(1e-9, 1e6))
def test_seconds_are_true_to_three_digits(value: float) -> None:
    assert math.isclose(read(units.seconds(value), SECONDS), value, rel_tol=0.00501)


@given(st.floats(1e-9, 1e6), st.floats(1, 10))
def test_more_seconds_never_read_as_fewer(value: float, factor: float) -> None:
    less, more = (read(units.seconds(v), SECONDS) for v in (value, value * factor))
    assert less <= more * (1 + 1e-9)


@given(st.integers(1, 2**57), st.integers(0, 2**57))
def test_more_bytes_never_read_as_fewer(value: int, more: int) -> None:
    low, high = read(units.size(value), BYTES), read(units.size(value + more), BYTES)
    assert low <= high
    assert math.isclose(low, value, rel_tol=0.05)


@given(st.one_of(st.integers(1, 2**14), st.integers(1, 2**14).map(lambda n: n * 256)))
def test_a_length_is_exact(tokens: int) -> None:
    text = units.length(tokens)
    scale = {"k": 2**10, "M": 2**20}.get(text[-1], 1)
    assert float(text.rstrip("kM")) * scale == tokens
    assert len(text) <= len(str(tokens)) + 1


@given(st.text())
def test_clean_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    cleaned = units.clean(text)
    assert cleaned.isprintable()
    assert units.clean(cleaned) == cleaned
    assert cleaned == text or not text.isprintable()


def test_clean_text_shows_what_was_there() -> None:
    assert units.clean("a\x1b[31mb\x07\u202ec\n\td") == r"a\x1b[31mb\x07\u202ec  d"
