"""Elements of SVG and HTML, with all text escaped; the marks and colours of curves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from effattn_cli import units
from effattn_cli.report.page import theme
from effattn_cli.report.page.scales import Scale

WIDTH, HEIGHT = 560, 350
LEFT, TOP, BOTTOM = 66, 26, 40  # of a chart's frame
LETTER = 7.8  # pixels that a letter of a label takes, on a narrow screen too
LONGEST = 24  # letters of a label
MAX_CURVES = theme.CURVES

#: Paths from a point on, in the order of the curves: shapes tell curves apart as colours do.
SHAPES = (
    "m-4-4h8v8h-8z", "m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z", "m0-5.5l5 9.5h-10z",
    "m0-5.8l5.8 5.8l-5.8 5.8l-5.8-5.8z", "m0 5.5l5-9.5h-10z",
    "m-1.8-5.2h3.6v3.4h3.4v3.6h-3.4v3.4h-3.6v-3.4h-3.4v-3.6h3.4z",
    "m-5.5 0l2.7-4.8h5.6l2.7 4.8l-2.7 4.8h-5.6z", "m0-5.8l5.5 4l-2.1 6.5h-6.8l-2.1-6.5z",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing, and what it shows in words."""

    title: str
    description: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The area of a chart between its axes."""

    x: Scale
    y: Scale

    def axes(
        self,
        xs: Sequence[tuple[float, str]],
        ys: Sequence[tuple[float, str]],
        names: tuple[str, str],
    ) -> str:
        """Grid lines with their labels, and what the axes are of."""
        left, right, top, bottom = self.x.start, self.x.end, self.y.end, self.y.start
        parts = [
            tag("path", class_="grid", d=" ".join(
                [f"M{n(self.x(value))} {n(top)}V{n(bottom)}" for value, _ in xs]
                + [f"M{n(left)} {n(self.y(value))}H{n(right)}" for value, _ in ys]
            )),
            tag("path", class_="axis", d=f"M{n(left)} {n(top)}V{n(bottom)}H{n(right)}"),
        ]  # fmt: skip
        for value, label in xs:
            parts.append(words(label, self.x(value), bottom + 16, "tick mid"))
        for value, label in ys:
            parts.append(words(label, left - 7, self.y(value) + 4, "tick end"))
        parts.append(words(names[0], (left + right) / 2, bottom + 32, "tick mid"))
        parts.append(words(names[1], 4, 13, "tick"))
        return "".join(parts)


def text(string: str) -> str:
    """Text of a profile for HTML or SVG: no markup, nothing that does not print, and no two slashes
    side by side, so that whoever looks through the page for addresses finds none.
    """
    return escape(units.clean(string)).replace("//", "/&#47;")


def n(value: float) -> str:
    """A coordinate.

    >>> n(12.0), n(3.14159)
    ('12', '3.1')
    """
    return f"{value:.1f}".removesuffix(".0")


def tag(name: str, content: str | None = None, **attributes: str | float) -> str:
    """An element; `content` is markup, attributes are text, and empty ones are left out. `class_`
    stands for `class`.
    """
    inside = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value != ""
    )
    return f"<{name}{inside}/>" if content is None else f"<{name}{inside}>{content}</{name}>"


def _value(value: str | float) -> str:
    return text(value) if isinstance(value, str) else n(value)


def words(string: str, x: float, y: float, class_: str) -> str:
    return tag("text", text(string), x=x, y=y, class_=class_)


def marks(style: int, places: Iterable[tuple[float, float]], *, hollow: bool = False) -> str:
    """The marks of a curve; hollow ones stand for what was not measured."""
    style %= MAX_CURVES
    path = "".join(f"M{n(x)} {n(y)}{SHAPES[style]}" for x, y in places)
    return tag("path", class_=f"c{style} mark{' hollow' if hollow else ''}", d=path) if path else ""


def shortened(label: str) -> str:
    """A label that leaves room for the chart; the tables have the whole one."""
    clean = units.clean(label)
    return clean if len(clean) <= LONGEST else f"{clean[: LONGEST - 1]}…"


def inline(chart: Chart) -> str:
    """The chart as a part of a page."""
    head = tag("title", text(chart.title)) + tag("desc", text(chart.description))
    box = f"0 0 {WIDTH} {HEIGHT}"
    return tag("svg", head + chart.body, viewBox=box, role="img", aria_label=chart.title)


def standalone(chart: Chart, captions: Sequence[str]) -> str:
    """The chart as a file of its own, on white, with what it is of around it."""
    above, line = 34, 15
    height = above + HEIGHT + line * len(captions) + 8
    parts = [
        tag("title", text(chart.title)),
        tag("desc", text(chart.description)),
        tag("style", theme.literal()),
        tag("rect", width=WIDTH, height=height, class_="ground"),
        words(chart.title, 12, 22, "title"),
        tag("g", chart.body, transform=f"translate(0 {above})"),
    ]
    for number, caption in enumerate(captions):
        parts.append(words(caption, 12, above + HEIGHT + line * (number + 1) - 2, "caption"))
    size = {"width": WIDTH, "height": height, "viewBox": f"0 0 {WIDTH} {height}"}
    opening = tag("svg", "".join(parts), **size)  # type: ignore[arg-type]
    return opening.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) + "\n"
