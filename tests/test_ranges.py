"""Ranges: what they stand for, and what is said where they cannot be read."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.errors import UsageError
from effattn_cli.ranges import LARGEST, fractions, integers, lengths
from effattn_cli.units import length

NUMBERS = st.integers(1, LARGEST)
STEPS = st.one_of(
    st.just(""),
    st.builds(":x{}".format, st.integers(2, 9)),
    st.builds(":/{}".format, st.integers(2, 99)),
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("4096", [4096]),
        ("1k,512,1K,1Ki", [512, 1024]),
        ("1.5k, 2M", [1536, 2 << 20]),
        ("1k..16k", [1024, 2048, 4096, 8192, 16384]),
        ("1k..5k", [1024, 2048, 4096, 5120]),
        ("3k..3k", [3072]),
        ("1k..64k:x4", [1024, 4096, 16384, 65536]),
        ("512..2k:+512", [512, 1024, 1536, 2048]),
        ("1..8:+3", [1, 4, 7, 8]),
        ("1k..16k:/5", [1024, 2048, 4096, 8192, 16384]),
        ("1000..4000:/3", [1000, 1984, 4000]),
        ("1..1000:/4", [1, 10, 128, 1000]),
        ("1..3:/99", [1, 2, 3]),
        ("1..8,16,!4", [1, 2, 8, 16]),
        ("!2..4,1..8:+1", [1, 3, 5, 6, 7, 8]),
        ("1024-65536*2", [2**n for n in range(10, 17)]),
        ("128-512+128", [128, 256, 384, 512]),
        ("1..10000:+1", range(1, 10001)),
    ],
)
def test_stands_for(text: str, values: list[int]) -> None:
    assert lengths(text) == tuple(values)


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("64k..1k", "'64k..1k' runs backwards", "did you mean '1k..64k'?"),
        ("1k-64k", "'1k-64k' is neither a number", "did you mean '1k..64k'?"),
        ("512,1k..64q", "'1k..64q' is neither a number", "did you mean '1k..64k'?"),
        ("64KB", "'64KB' is neither a number", "did you mean '64k'?"),
        ("2m", "'2m' is neither a number", "did you mean '2M'?"),
        ("1 k to 64 k", "'1 k to 64 k' is neither a number", "did you mean '1k..64k'?"),
        ("1k:64k", "'1k:64k' is neither a number", "did you mean '1k..64k'?"),
        ("512:2k:512", "'512:2k:512' is neither a number", "did you mean '512..2k:+512'?"),
        ("1k..64k:2", "'1k..64k:2' is neither a number", "did you mean '1k..64k:x2'?"),
        ("1k..16k:1k", "'1k..16k:1k' is neither a number", "did you mean '1k..16k:+1k'?"),
        ("[2:16:2]", "'[2:16:2]' is neither a number", "did you mean '2..16:+2'?"),
        ("pow2[7:10]", "'pow2[7:10]' is neither a number", "did you mean '128..1024'?"),
        ("1e3", "'1e3' is neither a number", "did you mean '1000'?"),
        ("2.5e+3", "'2.5e+3' is neither a number", "did you mean '2500'?"),
        ("1_024", "'1_024' is neither a number", "did you mean '1024'?"),
        ("1k..64k*4", "'1k..64k*4' is neither a number", "did you mean '1k..64k:x4'?"),
        ("64q..1k", "'64q..1k' is neither a number", "did you mean '1k..64k'?"),
        ("2G", "'2G' is neither a number", None),
        ("", "'' is neither a number", None),
        ("1k,,2k", "'' is neither a number", None),
        ("0", "'0' is out of range, the values go from 1 to 2147483648", None),
        ("1..999999999999:+1", "'1..999999999999:+1' is out of range", None),
        ("9" * 5000, "is out of range", None),
        ("1.3k", "'1.3k' is not whole: 1.3k would be 1331.2", None),
        ("1..8:+0", "'1..8:+0' is out of range", None),
        ("1..8:x1", "'1..8:x1' has the step x1, the least is x2", None),
        ("1..8:/1", "'1..8:/1' has the step /1, the least is /2", None),
        ("1..10001:+1", "'1..10001:+1' has more than 10,000 values", None),
        ("1..2M:/10001", "'1..2M:/10001' has more than 10,000 values", None),
        ("1..9k:+1,1..9k:+1", "has more than 10,000 values", None),
        ("1..8,!5", "'!5' excludes nothing: '5' is not in the range", None),
        ("1k,!1k", "nothing is left of '1k,!1k'", None),
    ],
)
def test_says_what_is_wrong(text: str, says: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        lengths(text)
    assert str(caught.value).startswith("--seq: ")
    assert says in str(caught.value)
    assert caught.value.hint == hint


def test_axes_have_limits_of_their_own() -> None:
    assert integers("1..8", "--threads", largest=8) == (1, 2, 4, 8)
    with pytest.raises(UsageError, match=r"--threads: '16' is out of range, .* from 1 to 8"):
        integers("16", "--threads", largest=8)


@given(st.one_of(st.text(), st.text("0123456789kKMi.,:x+/!-* ", max_size=40)))
def test_any_text_gives_ascending_values_or_one_line(text: str) -> None:
    try:
        values = lengths(text)
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert len(str(error)) < 200  # noqa: PT017
    else:
        assert values
        assert list(values) == sorted(set(values))
        assert 1 <= values[0] <= values[-1] <= LARGEST


@given(NUMBERS, NUMBERS, STEPS)
def test_both_ends_are_in_a_range(one: int, other: int, step: str) -> None:
    low, high = sorted((one, other))
    values = lengths(f"{low}..{high}{step}")
    assert (values[0], values[-1]) == (low, high)
    assert list(values) == sorted(set(values))


@given(st.integers(1, 2**30), st.integers(0, 9999), st.integers(1, 2**16))
def test_adding_gives_what_range_gives(low: int, count: int, step: int) -> None:
    high = low + count * step
    assert lengths(f"{low}..{high}:+{step}") == tuple(range(low, high + 1, step))


@given(st.sets(NUMBERS, min_size=1, max_size=20))
def test_reads_what_reports_write(values: set[int]) -> None:
    assert lengths(",".join(map(length, values))) == tuple(sorted(values))


@given(st.integers(1, 2**20), st.integers(2, 40))
def test_log_spaced_points_are_round_and_not_far_off(low: int, points: int) -> None:
    high = low * 1024
    values = lengths(f"{low}..{high}:/{points}")
    assert len(values) <= points
    for before, here in pairwise(values[:-1]):
        assert here % 64 == 0 or here - before <= 64
    exact = [low * 1024 ** (i / (points - 1)) for i in range(points)]
    assert all(min(abs(value - x) for x in exact) <= 32 for value in values)


@pytest.mark.parametrize(
    "text", ["1..2147483648:+1", "1..2:+1," * 50_000, "9" * 10**6, "." * 10**6, "1..1:" * 10**5]
)
def test_hostile_texts_fail(text: str) -> None:
    with pytest.raises(UsageError):
        lengths(text)


def test_fractions() -> None:
    assert fractions("0.25, 0,.5,0.25, 25 %", "--padding") == (0.0, 0.25, 0.5)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("25", "did you mean '25%'?"), ("2.5", "did you mean '2.5%'?"), ("1", None), ("100%", None),
     ("-0.5", None), ("-0.0", None), ("1e-1", None), ("%", None), (".", None),
     ("nan", None), ("inf", None), ("", None), ("half", None)],
)  # fmt: skip
def test_fractions_say_what_is_wrong(text: str, hint: str | None) -> None:
    with pytest.raises(UsageError, match=r"^--padding: .* is not a valid share") as caught:
        fractions(f"0,{text}", "--padding")
    assert caught.value.hint == hint


@given(st.text())
def test_any_text_gives_fractions_or_one_line(text: str) -> None:
    try:
        values = fractions(text, "--padding")
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert all(0 <= value < 1 for value in values)
