"""How many times faster than the baseline: a table whose cells are coloured by that."""

import math
from collections.abc import Sequence

from effattn_cli import units
from effattn_cli.analysis.crossover.crossing import Comparison, compare
from effattn_cli.analysis.series import Series
from effattn_cli.metrics import LATENCY
from effattn_cli.records import Record
from effattn_cli.report import phrases
from effattn_cli.report.page import scales, svg
from effattn_cli.report.page.svg import Chart, tag

STEPS = (1.5, 5.0, 20.0)  # ratios from which on a cell has the next colour
MAX_ROWS = 20  # of a chart by itself; the table has all

Point = Comparison | Record | None  # None: there is no such cell, or nothing to compare it with


def rows(series: Series, baseline: str | None) -> list[tuple[str, list[Point]]]:
    """A row for each variant but the baseline, the fastest at the longest length first; nothing
    where there is no baseline.
    """
    if baseline not in series.labels:
        return []
    labels = [label for label in series.labels if label != baseline]
    pairs = [(label, [_point(series, label, baseline, seq) for seq in series.seqs])
             for label in labels]  # fmt: skip
    return sorted(pairs, key=lambda row: [-_ratio(point) for point in reversed(row[1])])


def _point(series: Series, label: str, baseline: str, seq: int) -> Point:
    record, other = series.find(label, seq), series.find(baseline, seq)
    if record is None or record.failure is not None:
        return record
    return compare(record, other, LATENCY) if other is not None else None


def _ratio(point: Point) -> float:
    return point.ratio if isinstance(point, Comparison) else 0.0


def words(point: Point) -> str:
    """`6.1x`, with `~` where a prediction is in it and `?` where the intervals overlap."""
    if isinstance(point, Comparison):
        mark = ("~" if point.predicted else "") + ("?" if point.ordering == "close" else "")
        return mark + units.ratio(point.ratio)
    if point is not None and point.failure is not None:
        return phrases.REASONS[point.failure.reason]
    return ""


def colour(point: Point) -> str:
    """`b1` to `b4` for better, `w1` to `w4` for worse; nothing where it is too close to call."""
    if not isinstance(point, Comparison) or point.ordering == "close":
        return ""
    times = max(point.ratio, 1 / point.ratio)
    step = 1 + sum(times >= bound for bound in STEPS)
    return f"{'b' if point.ratio > 1 else 'w'}{step}"


def chart(series: Series, baseline: str | None) -> Chart | None:
    """The same as a drawing, for a file of its own."""
    every = rows(series, baseline)
    if not every:
        return None
    shown = every[:MAX_ROWS]
    names = [svg.shortened(label) for label, _ in shown]
    left = 14 + svg.LETTER * max(map(len, names))
    wide = (svg.WIDTH - left - 8) / len(series.seqs)
    high = min(34.0, (svg.HEIGHT - 60) / len(shown))
    centres = [left + wide * (column + 0.5) for column in range(len(series.seqs))]
    body = [
        svg.words(units.length(series.seqs[column]), centres[column], 20, "tick mid")
        for column in scales.thinned(centres, 34)
    ]
    for number, (name, (_, points)) in enumerate(zip(names, shown, strict=True)):
        top = 28 + high * number
        body.append(svg.words(name, left - 8, top + high / 2 + 4, "tick end"))
        body += _cells(points, left, top, wide, high)
    left_out = f" {len(every) - len(shown)} slower ones are left out." if every[MAX_ROWS:] else ""
    said = "; ".join(f"{label} {words(points[-1]) or 'not known'}" for label, points in shown)
    at = units.length(series.seqs[-1])
    return Chart(
        title=f"Speed-up over {baseline}",
        description=f"At {at} tokens: {said}.{left_out}",
        body="".join(body),
    )


def _cells(points: Sequence[Point], left: float, top: float, wide: float, high: float) -> list[str]:
    parts = []
    for column, point in enumerate(points):
        x = left + wide * column
        box = tag("rect", x=x + 1, y=top + 1, width=wide - 2, height=max(high - 2, 1.0),
                  class_=colour(point) or "ground")  # fmt: skip
        text = words(point)
        fits = len(text) * svg.LETTER <= wide and math.isfinite(x)
        label = text if fits else "-"
        parts += [box, svg.words(label, x + wide / 2, top + high / 2 + 4, "mid")]
    return parts
