"""Which curves are drawn, and what is said of those that are not."""

import io
from collections.abc import Mapping
from types import MappingProxyType

import pytest
from rich.console import Console

from effattn_cli.analysis.compare.comparison import compare
from effattn_cli.records import Profile
from effattn_cli.report import charts, terminal_chart
from tests.builders import a_cell, a_profile, measured
from tests.report.screen import screen

SEQS = (1024, 2048, 4096)
FACTORS = {"sdpa": 1.0, "linformer": 1.5, "local": 3.0, "gqa": 0.25, "luna": 2.0, "swin-1d": 1.0}


def a_side(factors: Mapping[str, float] = MappingProxyType({}), peak: int = 2**20) -> Profile:
    records = [
        measured(a_cell(label, seq), 1e-6 * seq * factors.get(label, 1.0), peak * seq)
        for label in FACTORS
        for seq in SEQS
    ]
    return a_profile(*records)


def test_the_variants_that_changed_most_are_drawn_and_the_others_named() -> None:
    latency, memory, _ = charts.of_comparisons({"new": compare(a_side(), a_side(FACTORS))})
    labels = [line.label for line in latency.lines]
    assert labels == [f"{n}, {side}" for n in ("gqa", "local", "luna") for side in ("old", "new")]
    assert latency.below == [
        "not drawn, changed less: linformer",
        "not drawn, no length surely changed: 2 more",
    ]
    old, new = latency.lines[:2]
    assert [seq for seq, *_ in old.points] == list(SEQS)
    before, after = ([amount for _, amount, _ in each.points] for each in (old, new))
    assert after == pytest.approx([amount / 4 for amount in before])
    assert not memory.lines  # it is the same


def test_every_name_has_a_place_under_the_picture() -> None:
    latency, *_ = charts.of_comparisons({"new": compare(a_side(), a_side(FACTORS))})
    for width in (60, 80, 120):
        shown = screen(terminal_chart.drawn(latency, width), width)
        assert max(map(len, shown.splitlines())) <= width
        for letter, line in zip("ABCDEF", latency.lines, strict=True):
            assert f"{letter} {line.label}" in shown


@pytest.mark.parametrize(("asked", "told"), [(True, "There is no curve to draw."), (None, "")])
def test_what_has_no_curve_is_said_only_where_it_was_asked_for(
    asked: bool | None, told: str
) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    terminal_chart.show(
        charts.of_comparisons({"new": compare(a_side(), a_side())}), console, asked=asked
    )
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().strip() == told


def test_a_peak_of_nothing_has_no_place_on_a_logarithm() -> None:
    _, memory, _ = charts.of_comparisons({"new": compare(a_side(peak=0), a_side(peak=1))})
    assert {line.label.rpartition(", ")[2] for line in memory.lines} == {"new"}
    assert "memory over tokens" in terminal_chart.drawn(memory, 80).plain


@pytest.mark.parametrize("amounts", [(0.5, 1.5, 3.0), (2.0, 3.0, 4.0), (1.0, 1.0, 1.0)])
def test_a_curve_fills_the_picture_however_few_marks_its_axis_has(
    amounts: tuple[float, ...],
) -> None:
    points = [(seq, amount, True) for seq, amount in zip(SEQS, amounts, strict=True)]
    chart = terminal_chart.Chart(
        title="", lines=[terminal_chart.Line(label="x", points=points)], scale=str
    )
    shown = screen(terminal_chart.drawn(chart, 80), 80).splitlines()
    start = max(line.find("┌") for line in shown)
    assert any(line[start + 1 :].startswith("A") for line in shown)
    assert any(line.endswith("A│") for line in shown)
