"""What is drawn, and in which colours."""

import re
from collections.abc import Sequence
from itertools import pairwise
from math import log

import pytest

from effattn_cli.analysis.series import by_setting
from effattn_cli.metrics import LATENCY, PEAK
from effattn_cli.plan.budgets import limit
from effattn_cli.records import Bandwidth, Profile, Record, Roofline
from effattn_cli.report.page import curves, picks, speedups, svg, theme
from effattn_cli.report.page.setting_view import View, Wish, charts, view
from effattn_cli.report.page.svg import Chart
from tests.builders import MIB, MS, a_cell, a_profile, failed, measured, predicted

SEQS = (1024, 2048, 4096)
ROOFLINE = Roofline(
    device="cpu", dtype="float32", threads=2, flops=2e12, exponentials=1e9, dispatch=1e-6,
    bandwidths=(
        Bandwidth(working_set_bytes=MIB, speed=2e11),
        Bandwidth(working_set_bytes=2**28, speed=5e10),
    ),
)  # fmt: skip


def a_crowd(number: int = 24) -> Profile:
    """The baseline, and variants from the slowest and smallest to the fastest and largest."""
    labels = ["sdpa", *(f"variant-{place}" for place in range(1, number))]
    return a_profile(
        *(
            measured(a_cell(label, seq), seq * MS / (place + 1), seq * 2**10 * (place + 1))
            for place, label in enumerate(labels)
            for seq in SEQS
        ),
        rooflines=(ROOFLINE,),
    )


def viewed(profile: Profile, wish: Wish | None = None) -> View:
    (series,) = by_setting(profile.records)
    return view(profile, series, picks.Styles(profile.baseline), wish or Wish())


def latencies(*records: Record) -> Chart:
    shown = viewed(a_profile(*records))
    found = curves.chart(curves.Curves(series=shown.series, metric=LATENCY, styles=shown.styles))
    assert found is not None
    return found


def count(chart: Chart, class_: str) -> int:
    """Elements that have the class."""
    return len(re.findall(rf'class="[^"]*\b{class_}\b', chart.body))


def test_few_curves_are_all_drawn_and_of_many_the_fastest_and_the_smallest() -> None:
    few = a_crowd(5)
    assert set(viewed(few).styles) == {record.cell.label for record in few.records}
    many = viewed(a_crowd())
    assert len(many.styles) == theme.CURVES
    assert many.styles["sdpa"] == 0
    assert {"variant-23", "variant-22", "variant-21", "variant-20", "variant-19"} < {*many.styles}
    assert {"variant-1", "variant-2"} < {*many.styles}  # what needs least memory
    chart = charts(many)["latency"]
    assert count(chart, "other") == 24 - theme.CURVES
    assert count(chart, "label") == theme.CURVES
    assert all(f"<title>variant-{number}</title>" in chart.body for number in range(3, 19))


def test_a_variant_keeps_its_colour_and_no_chart_has_one_twice() -> None:
    styles = picks.Styles("sdpa")
    first = styles.of(["sdpa", "a", "b"])
    second = styles.of(["b", "c", "sdpa"])
    assert first == {"sdpa": 0, "a": 1, "b": 2}
    assert second == {"sdpa": 0, "b": 2, "c": 1}
    third = styles.of(["a", "c"])  # both had the same one
    assert len(set(third.values())) == 2
    assert 0 not in third.values()


def test_what_was_predicted_is_dashed_and_hollow() -> None:
    plain = latencies(measured(a_cell(seq=1024), MS), measured(a_cell(seq=2048), 2 * MS))
    assert count(plain, "hollow") == count(plain, "dashed") == 0
    guessed = latencies(measured(a_cell(seq=1024), MS), predicted(a_cell(seq=65536), 2.0))
    assert count(guessed, "hollow") == count(guessed, "dashed") == 1


def test_a_band_has_the_ends_of_the_interval() -> None:
    record = measured(a_cell(seq=1024), [1.0], spread=0.2)
    after = measured(a_cell(seq=2048), [2.0], spread=0.2)
    body = latencies(record, after).body
    band = re.search(r'class="c0 band" d="M([\d. LM]+)z"', body)
    assert band is not None
    ys = [float(point.split()[1]) for point in band[1].split("L")]  # high, high, low, low
    (low, first), *_, (high, last) = sorted(grid_of(body).items())
    pixels = (first - last) / log(high / low)  # of a factor e
    assert (ys[3] - ys[0]) / pixels == pytest.approx(log(1.2 / 0.8), rel=0.02)
    assert (ys[2] - ys[1]) / pixels == pytest.approx(log(1.2 / 0.8), rel=0.02)


def grid_of(body: str) -> dict[float, float]:
    """The pixel of each number of seconds that the axis is marked with."""
    found = re.findall(r'y="([\d.]+)" class="tick end">([\d.]+) (m?)s</text>', body)
    return {float(value) * (MS if unit else 1): float(y) - 4 for y, value, unit in found}


def test_a_failed_cell_is_a_cross_with_its_reason() -> None:
    chart = latencies(
        measured(a_cell(seq=1024), MS), failed(a_cell(seq=2048), "out-of-memory", "41.0 GiB")
    )
    assert count(chart, "cross") == 1
    assert "sdpa at 2k: out of memory: 41.0 GiB" in chart.body


def test_the_description_says_both_ends_of_each_curve() -> None:
    chart = latencies(measured(a_cell(seq=1024), MS), predicted(a_cell(seq=65536), 2.0))
    assert "sdpa 1.00 ms at 1k and ~2.00 s at 64k" in chart.description


def test_nothing_is_drawn_where_there_is_no_value() -> None:
    shown = viewed(a_profile(failed(a_cell())))
    assert charts(shown) == {}


def test_names_of_curves_do_not_overlap() -> None:
    chart = charts(viewed(a_crowd(8)))["peak"]
    places = re.findall(r'<text x="[\d.]+" y="([\d.]+)" class="c\d label">', chart.body)
    ys = sorted(map(float, places))
    assert len(ys) == 8
    assert all(after - before >= 14 for before, after in pairwise(ys))


def test_limits_are_lines_at_their_values() -> None:
    limits = [limit("latency", "p95<=500ms"), limit("memory", "16MiB")]
    chart = charts(viewed(a_crowd(), Wish(limits=limits)))["pareto"]
    assert count(chart, "limit") == 2
    assert count(chart, "fits") == 1
    assert ">limit p95 500 ms</text>" in chart.body
    assert ">limit 16 MiB</text>" in chart.body
    without = charts(viewed(a_crowd()))["pareto"]
    assert count(without, "limit") == count(without, "fits") == 0


def test_a_limit_far_from_all_values_is_still_where_it_is() -> None:
    chart = charts(viewed(a_crowd(), Wish(limits=[limit("latency", "1h")])))["pareto"]
    assert re.search(r'class="tick mid">(?:16.7|1000|100) (?:min|s)</text>', chart.body)


def test_the_front_is_what_nothing_beats_in_both() -> None:
    beaten = measured(a_cell("beaten", 1024), 9.0, 2**33)
    profile = a_crowd(3)
    chart = charts(viewed(a_profile(*profile.records, beaten)))["pareto"]
    assert "beaten" not in chart.description
    assert "variant-2" in chart.description
    at_one = charts(viewed(a_profile(*profile.records, beaten), Wish(seq=1024)))["pareto"]
    assert "at 1k tokens" in at_one.title
    assert "beaten (" not in at_one.description
    assert ">beaten</text>" in at_one.body


def test_the_roofline_has_its_ceilings_and_its_cells() -> None:
    chart = charts(viewed(a_crowd()))["roofline"]
    assert count(chart, "roof") == 2
    assert "products 2.0 TFLOP/s; memory 46.6 GiB/s, cache 186 GiB/s" in chart.body
    assert "FLOP/s at 79.5 FLOP/B" in chart.description  # 1e9 FLOPs, 12 MiB moved
    assert "roofline" not in charts(viewed(a_profile(*a_crowd().records)))


def test_speedups_have_the_colour_of_their_size_and_a_tie_has_none() -> None:
    def colours(*seconds: float) -> Sequence[str]:
        records = [measured(a_cell("sdpa"), 1.0)]
        records += [measured(a_cell(f"v{n}"), each) for n, each in enumerate(seconds)]
        (series,) = by_setting(records)
        return [speedups.colour(points[0]) for _, points in speedups.rows(series, "sdpa")]

    assert colours(0.001, 0.1, 0.5, 0.9, 1.01, 1.2, 3, 10, 99) == [
        "b4", "b3", "b2", "b1", "", "w1", "w2", "w3", "w4",
    ]  # fmt: skip


def test_a_speedup_says_what_it_rests_on() -> None:
    records = [
        measured(a_cell("sdpa", 1024), 1.0), predicted(a_cell("sdpa", 2048), 4.0),
        measured(a_cell("linformer", 1024), 1.0), measured(a_cell("linformer", 2048), 0.5),
        measured(a_cell("sdpa", 4096), 1.0), failed(a_cell("linformer", 4096), "timeout"),
    ]  # fmt: skip
    (series,) = by_setting(records)
    ((label, points),) = speedups.rows(series, "sdpa")
    assert label == "linformer"
    assert [*map(speedups.words, points)] == ["?1.00x", "~8.0x", "over the time limit"]


def test_a_long_name_is_cut_in_the_chart_only() -> None:
    label = "a-variant-with-a-rather-long-name"
    chart = latencies(measured(a_cell("sdpa"), MS), measured(a_cell(label), MS))
    assert f">{label[: svg.LONGEST - 1]}…</text>" in chart.body
    assert label in chart.description


def test_decoding_draws_the_state() -> None:
    cells = [a_cell(seq=seq, phase="decode", causal=True) for seq in SEQS]
    shown = viewed(a_profile(*(measured(cell, MS, state_bytes=MIB) for cell in cells)))
    assert {"latency", "state", "peak"} <= charts(shown).keys()
    assert "peak" not in {metric.name for metric in viewed(a_crowd()).curves if metric is not PEAK}
