import math
import random
from collections.abc import Sequence
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from effattn_cli.analysis.crossover.crossing import Crossover, _passes, compare, crossover
from effattn_cli.analysis.series import by_setting
from effattn_cli.metrics import LATENCY, PEAK, STATE, Metric
from effattn_cli.records import Record
from tests.builders import MIB, a_cell, failed, measured, pending, predicted

CURVES = st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=6)


def curves(*pairs: tuple[float, float], spread: float = 0.0) -> list[Record]:
    """A variant's and the baseline's seconds at 1k, 2k, 4k, ..."""
    return [
        measured(a_cell(label, 1024 << place), seconds, spread=spread)
        for place, pair in enumerate(pairs)
        for label, seconds in zip(("linformer", "sdpa"), pair, strict=True)
    ]


def crossing(records: Sequence[Record], metric: Metric = LATENCY) -> Crossover:
    (series,) = by_setting(records)
    found = crossover(series, "linformer", "sdpa", metric)
    assert found is not None
    return found


def test_it_is_the_length_from_which_on_the_variant_wins() -> None:
    found = crossing(curves((2, 1), (3, 2), (3, 4), (5, 10)))
    assert found.from_seq == 4096
    assert found.certain
    assert found.last.seq == 8192
    assert found.last.ratio == 2
    assert not found.last.predicted


def test_winning_for_a_while_does_not_count() -> None:
    assert crossing(curves((1, 2), (3, 2), (3, 4))).from_seq == 4096
    assert crossing(curves((1, 2), (3, 2))).from_seq is None
    assert crossing(curves((1, 2), (3, 2))).certain


def test_it_is_uncertain_where_the_intervals_overlap() -> None:
    found = crossing(curves((2, 1), (0.99, 1), (0.5, 1), spread=0.02))
    assert found.from_seq == 2048
    assert not found.certain
    assert [point.ordering for point in found.points] == ["worse", "close", "better"]
    assert [point.seq for point in found.run] == [4096]


def test_a_tie_at_the_end_is_never_certain() -> None:
    assert not crossing(curves((1.01, 1), spread=0.02)).certain


def test_one_sample_each_decides_only_a_wide_difference() -> None:
    def alone(seconds: float, label: str) -> Record:
        return measured(a_cell(label), [seconds], count=1)

    assert crossing([alone(1.0, "linformer"), alone(1.4, "sdpa")]).last.ordering == "close"
    assert crossing([alone(1.0, "linformer"), alone(2.0, "sdpa")]).last.ordering == "better"


def test_predictions_take_part_and_are_told() -> None:
    records = [measured(a_cell("linformer"), 1.0), predicted(a_cell("sdpa"), 1.2)]
    assert crossing(records).last.predicted
    assert crossing(records).last.ordering == "close"


def test_memory_counts_as_the_same_within_what_allocators_round() -> None:
    def verdict(mine: int, theirs: int) -> str:
        records = [
            measured(a_cell("linformer"), 1.0, mine),
            measured(a_cell("sdpa"), 1.0, theirs),
        ]
        return crossing(records, PEAK).last.ordering

    assert verdict(1000, 1010) == "close"
    assert verdict(1000, 1100) == "better"
    assert verdict(1100, 1000) == "worse"


def test_a_peak_beside_a_predicted_time_may_still_be_measured() -> None:
    record = predicted(a_cell("linformer"), 1.0)
    base = measured(a_cell("sdpa"), 1.0, 8 * MIB)
    found = compare(record, base, PEAK)
    assert found is not None
    assert found.predicted
    both = Record(cell=record.cell, prediction=record.prediction, memory=base.memory)
    found = compare(both, base, PEAK)
    assert found is not None
    assert not found.predicted


@pytest.mark.parametrize("missing", [failed(a_cell("sdpa")), pending(a_cell("sdpa"))])
def test_without_a_value_of_both_there_is_nothing_to_compare(missing: Record) -> None:
    (series,) = by_setting([measured(a_cell("linformer"), 1.0), missing])
    assert crossover(series, "linformer", "sdpa", LATENCY) is None


def test_there_is_no_ratio_to_nothing() -> None:
    mine, theirs = measured(a_cell("linformer"), 1.0, 0), measured(a_cell("sdpa"), 1.0, 1)
    assert compare(mine, theirs, PEAK) is None
    assert compare(theirs, mine, PEAK) is None


def test_state_is_compared_where_it_was_measured() -> None:
    mine = measured(a_cell("linformer"), 1.0, state_bytes=MIB)
    theirs = measured(a_cell("sdpa"), 1.0, state_bytes=4 * MIB)
    found = compare(mine, theirs, STATE)
    assert found is not None
    assert found.ratio == 4
    assert compare(predicted(a_cell("linformer"), 1.0), theirs, STATE) is None


@given(CURVES, st.floats(0, 0.2))
def test_it_is_what_the_definition_says(pairs: list[tuple[float, float]], spread: float) -> None:
    found = crossing(curves(*pairs, spread=spread))
    seqs = [point.seq for point in found.points]
    wins = {p.seq: p.value < p.baseline for p in found.points}
    firsts = [seq for seq in seqs if all(wins[later] for later in seqs if later >= seq)]
    assert found.from_seq == min(firsts, default=None)
    assert {point.ordering for point in found.run} == {found.last.ordering}
    before = found.points[: -len(found.run)]
    assert not before or before[-1].ordering != found.last.ordering


@given(CURVES, st.floats(0, 0.2))
def test_exchanging_the_two_exchanges_the_verdicts(
    pairs: list[tuple[float, float]], spread: float
) -> None:
    opposite = {"better": "worse", "worse": "better", "close": "close"}
    found = crossing(curves(*pairs, spread=spread))
    turned = crossing(curves(*((b, a) for a, b in pairs), spread=spread))
    assert [opposite[p.ordering] for p in found.points] == [p.ordering for p in turned.points]


@given(CURVES, st.floats(0, 0.2))
def test_the_crossing_lies_in_its_interval_and_where_the_verdicts_say(
    pairs: list[tuple[float, float]], spread: float
) -> None:
    found = crossing(curves(*pairs, spread=spread))
    where, beyond = found.crossing, float("inf")
    low, at, high = (beyond if end is None else end for end in (where.low, where.at, where.high))
    assert low <= at <= high
    assert (where.at is None) == (found.from_seq is None)
    if where.at is not None and found.from_seq is not None:
        before = [point.seq for point in found.points if point.seq < found.from_seq]
        assert max(before, default=0) <= where.at <= found.from_seq


def test_the_crossing_is_read_off_logarithmic_axes() -> None:
    """Twice as slow at 1k, twice as fast at 4k: they meet at 2k."""
    slow, fast = a_cell("linformer", 1024), a_cell("linformer", 4096)
    records = [
        measured(slow, 2.0), measured(replace(slow, variant="sdpa"), 1.0),
        measured(fast, 1.0), measured(replace(fast, variant="sdpa"), 2.0),
    ]  # fmt: skip
    found = crossing(records).crossing
    assert found.at == pytest.approx(2048)
    assert found.low is not None
    assert found.high is not None
    assert 1900 < found.low < 2048 < found.high < 2200
    assert not found.predicted


def near(noise: Sequence[float], metric: Metric = LATENCY) -> Crossover:
    """Ratios that pass 1 at 2k, each off by a little."""
    records = []
    for seq, off in zip((1448, 1722, 2048, 2435, 2896), noise, strict=True):
        ratio = seq / 2048 * math.exp(off)
        records.append(measured(a_cell("linformer", seq), 1.0, MIB))
        records.append(measured(a_cell("sdpa", seq), ratio, round(ratio * MIB)))
    return crossing(records, metric)


def test_all_lengths_near_it_place_a_crossing() -> None:
    rng = random.Random(1)
    found = [near([rng.gauss(0, 0.1) for _ in range(5)]) for _ in range(100)]
    placed = [each.crossing.at for each in found]
    between = [_passes([(p.seq, p.ratio) for p in each.points]) for each in found]
    assert _scatter(placed) < 0.6 * _scatter(between)
    assert abs(fmean(math.log(at / 2048) for at in placed if at)) < 0.01
    assert all(each.crossing.low <= at <= each.crossing.high  # type: ignore[operator]
               for each, at in zip(found, placed, strict=True) if at)  # fmt: skip


def test_a_count_is_not_smoothed() -> None:
    found = near((0, 0, -0.1, 0, 0), PEAK)
    assert found.crossing.at == _passes([(p.seq, p.ratio) for p in found.points])
    assert near((0, 0, -0.1, 0, 0)).crossing.at != found.crossing.at


def _scatter(places: Sequence[float | None]) -> float:
    return pstdev(math.log(at) for at in places if at)
