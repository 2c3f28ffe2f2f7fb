"""Curves in the terminal: amounts over the length, both axes logarithmic, told apart by letters."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from string import ascii_lowercase
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from effattn_cli.analyse.choose import Choice
from effattn_cli.analyse.crossover import Metric, crossover, is_predicted, value
from effattn_cli.analyse.groups import Group, groups
from effattn_cli.records import Profile
from effattn_cli.report import budget, units

NARROWEST = 60  # columns
WIDEST = 100
HEIGHT = 18
MOST = 8  # curves; more cannot be told apart
PREDICTED = "~"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve: length, amount, and whether that was measured."""

    label: str
    points: Sequence[tuple[int, float, bool]]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What stands in one picture; `scale` writes an amount with its unit."""

    title: str
    series: Sequence[Series]
    scale: Callable[[float], str]
    base: float = 10  # of the marks on the upright axis
    limit: float | None = None
    crossings: Sequence[tuple[float, str]] = ()  # a length, and what happens there


def wanted(console: Console, *, asked: bool | None) -> bool:
    """Whether to draw: as asked, else where it will be looked at and there is room."""
    if asked is not None:
        return asked
    return console.is_terminal and not console.is_dumb_terminal and console.width >= NARROWEST


def show(profile: Profile, console: Console, *, asked: bool | None) -> None:
    """Prints the charts of every setting, where they are wanted."""
    if wanted(console, asked=asked):
        for group in groups(profile.records):
            for chart in of_group(group, profile):
                console.print()
                console.print(drawn(chart, console.width))


def of_group(group: Group, profile: Profile) -> list[Chart]:
    """Latency and memory of one table, with where the variants overtake the baseline."""
    shown: list[Chart] = []
    for metric, title, scale, base in AXES:
        series = [_series(group, label, metric) for label in group.labels[:MOST]]
        series = [each for each in series if each.points]
        crossings = []
        for label in group.labels[:MOST]:
            base_label = profile.baseline or ""
            found = crossover(group, label, base_label, metric) if label != base_label else None
            at = found.crossing.at if found is not None else None
            if found is not None and at is not None and at > found.crossing.first:
                crossings.append((at, f"{label} beats {base_label}"))
        lengths = {seq for each in series for seq, _, _ in each.points}
        if len(lengths) > 1:
            shown.append(
                Chart(title=title, series=series, scale=scale, base=base, crossings=crossings)
            )
    return shown


AXES: tuple[tuple[Metric, str, Callable[[float], str], float], ...] = (
    ("time", "latency over tokens", units.seconds, 10),
    ("memory", "memory over tokens", units.size, 2),
)


def of_choice(choice: Choice) -> list[Chart]:
    """The curves of the best candidates against each limit."""
    shown = []
    able = [one.contender for one in choice.candidates if one.refusal is None][:MOST]
    for limit in choice.needs.limits:
        series = [
            Series(
                label=one.label,
                points=[
                    (seq, estimate.value, estimate.basis == "measured")
                    for seq, estimate in one.curves[limit.resource].points
                ],
            )
            for one in able
        ]
        series = [each for each in series if each.points]
        if len({seq for each in series for seq, _, _ in each.points}) > 1:
            shown.append(
                Chart(
                    title=f"{limit.resource} over tokens",
                    series=series,
                    scale=budget.SCALES[limit.resource],
                    base=2 if limit.resource == "memory" else 10,
                    limit=limit.most,
                    crossings=[(choice.seq, "the length asked for")],
                )
            )
    return shown


def _series(group: Group, label: str, metric: Metric) -> Series:
    found = [(r, value(r, metric)) for r in group.curve(label)]
    points = [(r.cell.seq, v, not is_predicted(r, metric)) for r, v in found if v]
    return Series(label=label, points=points)


def drawn(chart: Chart, width: int) -> Text:
    """The picture, and a line below it for every mark in it."""
    import plotext  # noqa: PLC0415  # 0.1 s that only a picture is worth

    figure = plotext.figure
    figure.clear()
    figure.plot_size(min(width, WIDEST) - 1, HEIGHT)
    figure.title(chart.title)
    figure.legend(active=False)
    for letter, series in zip(ascii_lowercase, chart.series, strict=False):
        _draw(figure, letter, series)
    if chart.limit is not None:
        figure.line(math.log10(chart.limit), "horizontal")
    for seq, _ in chart.crossings:
        figure.line(math.log10(seq), "vertical")
    _mark_axes(figure, chart)
    lines = plotext.uncolorize(str(figure.build())).splitlines()
    figure.clear()
    return Text("\n".join(line.rstrip() for line in [*lines, *_legend(chart)]), no_wrap=True)


def _draw(figure: Any, letter: str, series: Series) -> None:
    """Small letters for the line, large ones where something was measured."""
    xs = [math.log10(seq) for seq, _, _ in series.points]
    ys = [math.log10(amount) for _, amount, _ in series.points]
    line = figure.signal(xs, ys, marker=letter)
    line.lines(active=True)
    marks = [letter.upper() if measured else PREDICTED for _, _, measured in series.points]
    points = figure.signal(xs, ys, marker=marks)
    for signal in (line, points):
        figure.draw(signal)


def _mark_axes(figure: Any, chart: Chart) -> None:
    points = list(chain.from_iterable(series.points for series in chart.series))
    amounts = [amount for _, amount, _ in points] + ([chart.limit] if chart.limit else [])
    lengths = _thinned(sorted({seq for seq, _, _ in points}), 7)
    steps = _thinned(_steps(min(amounts), max(amounts), chart.base), 7)
    for axis, places, texts in (
        ("x", lengths, [units.length(seq) for seq in lengths]),
        ("y", steps, [chart.scale(step) for step in steps]),
    ):
        ruler = figure.ruler(axis)
        ruler.ticks([math.log10(place) for place in places], texts)


def _steps(low: float, high: float, base: float) -> list[float]:
    """The powers of the base between the two, or the two where there is none."""
    first, last = math.ceil(math.log(low, base)), math.floor(math.log(high, base))
    return [float(base) ** power for power in range(first, last + 1)] or [low, high]


def _thinned(values: Sequence[T], most: int) -> Sequence[T]:
    """Every n-th, so that no more than `most` are left."""
    return values[:: -(-len(values) // most)]


def _legend(chart: Chart) -> list[str]:
    names = [
        f"{letter.upper()} {units.clean(series.label)}"
        for letter, series in zip(ascii_lowercase, chart.series, strict=False)
    ]
    if any(not measured for series in chart.series for *_, measured in series.points):
        names.append(f"{PREDICTED} predicted")
    lines = ["  ".join(names)]
    if chart.limit is not None:
        lines.append(f"─ the limit, {chart.scale(chart.limit)}")
    lines += [f"│ {units.length(round(seq))}: {units.clean(what)}" for seq, what in chart.crossings]
    return lines
