"""The maths of charts."""

import doctest
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.report.page import scales
from effattn_cli.report.page.scales import Scale, placed, spanning, spread, thinned, ticks

amounts = st.floats(1e-12, 1e20)


def test_the_examples_hold() -> None:
    assert doctest.testmod(scales).failed == 0


def test_a_scale_is_logarithmic_and_ends_where_it_ends() -> None:
    scale = Scale(1.0, 100.0, 0.0, 200.0)
    assert [scale(value) for value in (1, 10, 100)] == pytest.approx([0, 100, 200])
    assert (scale(0.001), scale(1e9)) == pytest.approx((0, 200))


@given(st.lists(amounts, min_size=1, max_size=9), st.lists(amounts, max_size=9))
def test_a_scale_holds_all_values_and_its_ticks(values: list[float], bounds: list[float]) -> None:
    scale = spanning(values, bounds, 0, 100)
    assert scale.low <= min(values) <= max(values) <= scale.high
    assert scale.high / scale.low >= scales.NARROWEST * 0.999
    for base in (2.0, 10.0):
        found = ticks(scale, base)
        assert found == sorted(set(found))
        assert all(scale.low * 0.999 <= tick <= scale.high * 1.001 for tick in found)
        assert 1 <= len(found) <= 9


def test_an_axis_follows_intervals_only_so_far() -> None:
    near, far = spanning([1, 10], [0.5, 20], 0, 1), spanning([1, 10], [1e-9, 1e9], 0, 1)
    assert near.low <= 0.5
    assert near.high >= 20
    assert far.low > 0.5
    assert far.high < 20


@given(st.lists(st.floats(-50, 450), max_size=12), st.floats(1, 40))
def test_labels_keep_apart_and_within(wanted: list[float], gap: float) -> None:
    found = spread(wanted, gap, 0, 400)
    assert len(found) == len(wanted)
    assert all(-1e-6 <= place <= 400 + 1e-6 for place in found)
    apart = min(gap, 400 / max(1, len(wanted) - 1))
    ordered = sorted(found)
    assert all(b - a >= apart - 1e-6 for a, b in pairwise(ordered))
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    assert [found[index] for index in order] == pytest.approx(ordered)


def test_labels_with_room_stay_where_they_want_to_be() -> None:
    assert spread([300, 100, 200], 15, 0, 400) == [300, 100, 200]


points = st.lists(st.tuples(st.floats(0, 500), st.floats(0, 300)), max_size=14)


@given(points)
def test_labels_beside_points_overlap_nothing(places: list[tuple[float, float]]) -> None:
    widths = [40.0 + 7 * number for number in range(len(places))]
    found = placed(places, widths, 13, (0, 0, 500, 300))
    boxes = [
        (x, y - 6.5, x + width, y + 6.5)
        for width, place in zip(widths, found, strict=True)
        if place is not None
        for x, y in [place]
    ]
    for number, one in enumerate(boxes):
        assert one[0] >= 0
        assert one[2] <= 500
        for other in boxes[number + 1 :]:
            beside = one[2] <= other[0] or other[2] <= one[0]
            assert beside or one[3] <= other[1] or other[3] <= one[1]
        for x, y in places:
            assert not (one[0] < x < one[2] and one[1] < y < one[3])


def test_a_point_alone_has_its_label_on_the_right() -> None:
    assert placed([(100, 100)], [50], 13, (0, 0, 500, 300)) == [(109, 100)]


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=30).map(sorted))
def test_the_last_tick_is_always_labelled(places: list[float]) -> None:
    kept = thinned(places, 34)
    assert kept[-1] == len(places) - 1
    gaps = [places[b] - places[a] for a, b in pairwise(kept)]
    assert all(gap >= 34 or math.isclose(gap, 34) for gap in gaps)
