"""Curves in the terminal: amounts over the length, both axes logarithmic, told apart by letters."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from string import ascii_lowercase
from typing import Any, TypeVar

from rich.console import Console
from rich.text import Text

from effattn_cli import units

NARROWEST = 60  # columns
WIDEST = 100
HEIGHT = 18
MAX_LINES = 8  # curves; more cannot be told apart
PREDICTED = "~"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve: length, amount, and whether that was measured."""

    label: str
    points: Sequence[tuple[int, float, bool]]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What stands in one picture; `scale` writes an amount with its unit."""

    title: str
    lines: Sequence[Line]
    scale: Callable[[float], str]
    base: float = 10  # of the marks on the upright axis
    limit: float | None = None
    crossings: Sequence[tuple[float, str]] = ()  # a length, and what happens there
    above: str = ""  # the line over the picture
    below: Sequence[str] = ()  # the last lines under it

    @property
    def lengths(self) -> list[int]:
        return sorted({seq for line in self.lines for seq, _, _ in line.points})


def show(charts: Iterable[Chart], console: Console, *, asked: bool | None) -> None:
    """Prints the charts that have more than one length, where they are wanted."""
    if not _wanted(console, asked=asked):
        return
    worth = [chart for chart in charts if len(chart.lengths) > 1]
    for chart in worth:
        console.print()
        console.print(drawn(chart, console.width))
    if asked and not worth:
        console.print("\nThere is no curve to draw.")


def _wanted(console: Console, *, asked: bool | None) -> bool:
    """Whether to draw: as asked, else where it will be looked at and there is room."""
    if asked is not None:
        return asked
    return console.is_terminal and not console.is_dumb_terminal and console.width >= NARROWEST


def drawn(chart: Chart, width: int) -> Text:
    """The picture, and lines below it for every mark in it."""
    import plotext  # noqa: PLC0415  # 0.1 s that only a picture is worth

    figure = plotext.figure
    figure.clear()
    figure.plot_size(min(width, WIDEST) - 1, HEIGHT)
    figure.title(chart.title)
    figure.legend(active=False)
    for letter, line in zip(ascii_lowercase, chart.lines, strict=False):
        _draw(figure, letter, line)
    if chart.limit is not None:
        figure.line(math.log10(chart.limit), "horizontal")
    for seq, _ in chart.crossings:
        figure.line(math.log10(seq), "vertical")
    _mark_axes(figure, chart)
    drawn_lines = plotext.uncolorize(str(figure.build())).splitlines()
    figure.clear()
    picture = Text("\n".join(line.rstrip() for line in drawn_lines), no_wrap=True)
    above = [Text(chart.above, "bold")] if chart.above else []
    return Text("\n").join([*above, picture, *map(Text, _legend(chart, min(width, WIDEST)))])


def _draw(figure: Any, letter: str, line: Line) -> None:
    """Small letters for the line, large ones where something was measured."""
    xs = [math.log10(seq) for seq, _, _ in line.points]
    ys = [math.log10(amount) for _, amount, _ in line.points]
    curve = figure.signal(xs, ys, marker=letter)
    curve.lines(active=True)
    marks = [letter.upper() if measured else PREDICTED for _, _, measured in line.points]
    points = figure.signal(xs, ys, marker=marks)
    for signal in (curve, points):
        figure.draw(signal)


def _mark_axes(figure: Any, chart: Chart) -> None:
    amounts = [amount for line in chart.lines for _, amount, _ in line.points]
    amounts += [chart.limit] if chart.limit else []
    lengths = _thinned(chart.lengths, 7)
    steps = _thinned(_steps(min(amounts), max(amounts), chart.base), 7)
    for axis, places, texts in (
        ("x", lengths, [units.length(seq) for seq in lengths]),
        ("y", steps, [chart.scale(step) for step in steps]),
    ):
        ruler = figure.ruler(axis)
        ruler.ticks([math.log10(place) for place in places], texts)


def _steps(low: float, high: float, base: float) -> list[float]:
    """The powers of the base between the two; with fewer than two of them, the ends as well."""
    first, last = math.ceil(math.log(low, base)), math.floor(math.log(high, base))
    powers = [float(base) ** power for power in range(first, last + 1)]
    return powers if len(powers) > 1 else sorted({low, *powers, high})


def _thinned(values: Sequence[T], maximum: int) -> Sequence[T]:
    """Every n-th, so that no more than `maximum` are left."""
    return values[:: -(-len(values) // maximum)]


def _legend(chart: Chart, width: int) -> Iterator[str]:
    names = [
        f"{letter.upper()} {units.clean(line.label)}"
        for letter, line in zip(ascii_lowercase, chart.lines, strict=False)
    ]
    points = chain.from_iterable(line.points for line in chart.lines)
    if any(not measured for *_, measured in points):
        names.append(f"{PREDICTED} predicted")
    yield from _filled(names, width)
    if chart.limit is not None:
        yield f"─ the limit, {chart.scale(chart.limit)}"
    for seq, what in chart.crossings:
        yield f"│ {units.length(round(seq))}: {units.clean(what)}"
    yield from chart.below


def _filled(names: Sequence[str], width: int) -> Iterator[str]:
    """As many names on a line as there is room for."""
    line = ""
    for name in names:
        if line and len(line) + 2 + len(name) > width:
            yield line
            line = ""
        line += f"  {name}" if line else name
    yield line
