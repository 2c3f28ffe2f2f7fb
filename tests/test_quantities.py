"""Sizes and durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.errors import UsageError
from effattn_cli.quantities import parse_bytes, parse_seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096B", 4096),
        ("512MiB", 512 << 20),
        ("2GiB", 2 << 30),
        ("2GB", 2 * 10**9),
        ("1.5GiB", 3 << 29),
        (" 1.5 gib ", 3 << 29),
        ("0.1kB", 100),
        ("1TiB", 1 << 40),
        ("7B", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("2G", "did you mean '2GiB'?"),
        ("2Gi", "did you mean '2GiB'?"),
        ("0", None),
        ("-1GiB", None),
        ("0.5B", None),
        ("much", None),
        ("", None),
        ("80%", None),
        ("9" * 10**6, None),
    ],
)
def test_no_sizes(text: str, hint: str | None) -> None:
    with pytest.raises(
        UsageError, match=r"^--memory: .* is not a valid size \(examples: 2GiB, 512MB\)$"
    ) as caught:
        parse_bytes(text, "--memory")
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("200us", 200e-6),
        ("200µs", 200e-6),
        ("5ms", 0.005),
        ("2s", 2),
        ("3m", 180),
        ("3min", 180),
        ("1h", 3600),
        ("1m30s", 90),
        ("1h 2m 3.5 s", 3723.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1m30", "did you mean '1m30s'?"),
        ("5MS", "did you mean '5ms'?"),
        ("5 minutes", "did you mean '5 m'?"),
        ("2hours", "did you mean '2h'?"),
        ("10secs", "did you mean '10s'?"),
        ("30s1m", None),
        ("0s", None),
        ("-1s", None),
        ("", None),
        ("soon", None),
        (" " * 10**5 + "1" * 10**5, None),
    ],
)
def test_no_durations(text: str, hint: str | None) -> None:
    says = r"^--latency: .* is not a valid duration \(examples: 200us, 5ms, 2s, 1m30s\)$"
    with pytest.raises(UsageError, match=says) as caught:
        parse_seconds(text, "--latency")
    assert caught.value.hint == hint


def test_a_number_without_a_unit_is_asked_for_it() -> None:
    with pytest.raises(UsageError, match=r"^--memory: '10' has no unit$") as caught:
        parse_bytes("10", "--memory")
    assert caught.value.hint == "did you mean '10GiB' or '10MiB'?"
    with pytest.raises(UsageError, match=r"^--latency: '40' has no unit$") as caught:
        parse_seconds("40", "--latency")
    assert caught.value.hint == "did you mean '40ms' or '40s'?"


@given(st.text())
def test_any_text_gives_an_amount_or_one_line(text: str) -> None:
    for read in (parse_bytes, parse_seconds):
        try:
            assert read(text) > 0
        except UsageError as error:
            assert "\n" not in str(error)  # noqa: PT017


@given(st.integers(1, 10**6), st.sampled_from(["k", "M", "G", "T"]))
def test_binary_units_are_the_larger_ones(number: int, letter: str) -> None:
    power = "kMGT".index(letter) + 1
    assert parse_bytes(f"{number}{letter}B") == number * 1000**power
    assert parse_bytes(f"{number}{letter}iB") == number * 1024**power


@given(st.integers(0, 99), st.integers(0, 59), st.integers(1, 59))
def test_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds
    assert parse_seconds(f"{hours}h{minutes}m{seconds}s") == total
    assert parse_seconds(f"{total * 1000}ms") == total
