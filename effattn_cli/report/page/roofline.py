"""The roofline: FLOPs a second that were attained, against FLOPs for each byte that is moved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from effattn_cli import units
from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.series import Series
from effattn_cli.records import Record, Roofline
from effattn_cli.report.page import scales, svg
from effattn_cli.report.page.svg import Chart, Frame, n, tag

ROW = 16
LOW = 20.0  # the chart goes down to this part of the peak at least, so that the slopes show


@dataclass(frozen=True, kw_only=True)
class Attained:
    """A measured cell in the chart."""

    record: Record
    intensity: float  # counted FLOPs over counted bytes
    rate: float  # counted FLOPs a second of its latency
    used: utilisation.Utilisation


def attained(series: Series, rooflines: Sequence[Roofline]) -> dict[str, list[Attained]]:
    """By label, from the shortest length on, wherever the utilisation is known."""
    points: dict[str, list[Attained]] = {}
    for label in series.labels:
        for record in series.curve(label):
            used, cost, seconds = (
                utilisation.utilisation(record, rooflines), record.cost, record.seconds,
            )  # fmt: skip
            if used is not None and cost and seconds and cost.flops and cost.moved_bytes:
                intensity, rate = cost.flops / cost.moved_bytes, cost.flops / seconds
                one = Attained(record=record, intensity=intensity, rate=rate, used=used)
                points.setdefault(label, []).append(one)
    return points


def chart(series: Series, rooflines: Sequence[Roofline], styles: Mapping[str, int]) -> Chart | None:
    """None where the device's roofline is not known, or nothing was measured below it."""
    roofline = utilisation.of(series.setting, rooflines)
    points = attained(series, rooflines)
    if roofline is None or not points:
        return None
    frame = _frame(points, roofline, styles)
    named = sorted((k for k in styles if k in points), key=lambda k: -points[k][-1].rate)
    body = [_axes(frame), *_roofs(frame, roofline)]
    body += [_spots(frame, label, points[label]) for label in points if label not in styles]
    body += [_trail(frame, styles[label], points[label]) for label in named]
    body += _legend(frame, styles, named)
    return Chart(
        title="Roofline",
        description="; ".join(_described(points[label][-1]) for label in named),
        body="".join(body),
    )


def _described(one: Attained) -> str:
    cell = one.record.cell
    return (
        f"{cell.label} at {units.length(cell.seq)}: {units.count(one.rate)}FLOP/s at"
        f" {one.intensity:.3g} FLOP/B, {units.percent(one.used.fraction)} of what"
        f" {one.used.bound} allows"
    )


def _frame(
    points: Mapping[str, Sequence[Attained]], roofline: Roofline, styles: Mapping[str, int]
) -> Frame:
    every = [one for mine in points.values() for one in mine]
    ridges = [roofline.flops / speed for speed in _speeds(roofline).values()]
    room = svg.LETTER * max((len(svg.shortened(label)) for label in styles), default=0) + 34
    xs = [*(one.intensity for one in every), *ridges]
    rates = [*(one.rate for one in every), roofline.flops, roofline.flops / LOW]
    x = scales.spanning(xs, [max(xs) * 2], svg.LEFT, svg.WIDTH - room)
    return Frame(x=x, y=scales.spanning(rates, [], svg.HEIGHT - svg.BOTTOM, svg.TOP + 14))


def _speeds(roofline: Roofline) -> dict[str, float]:
    """Bytes a second: of the memory, and of the fastest cache, where these differ."""
    ordered = sorted(roofline.bandwidths, key=lambda point: point.working_set_bytes)
    memory, best = ordered[-1].speed, max(point.speed for point in ordered)
    return {"memory": memory} | ({"cache": best} if best > memory else {})


def _axes(frame: Frame) -> str:
    xs = [(value, f"{value:g}") for value in scales.ticks(frame.x, 10)]
    ys = [
        (value, f"{units.count(value)}".replace(".0 ", " ")) for value in scales.ticks(frame.y, 10)
    ]
    return frame.axes(xs, ys, ("FLOP per byte moved", "FLOP/s attained"))


def _roofs(frame: Frame, roofline: Roofline) -> Iterator[str]:
    """What the device's products allow, and below it what its bandwidths do."""
    low, high, peak = frame.x.low, frame.x.high, roofline.flops
    for name, speed in _speeds(roofline).items():
        ridge = min(max(peak / speed, low), high)
        start = max(low, frame.y.low / speed)
        foot = f"M{n(frame.x(start))} {n(frame.y(start * speed))}"
        d = f"{foot}L{n(frame.x(ridge))} {n(frame.y(peak))}H{n(frame.x.end)}"
        yield tag("path", class_="roof second" if name == "cache" else "roof", d=d)
    texts = [f"{name} {units.size(speed)}/s" for name, speed in _speeds(roofline).items()]
    said = f"products {units.count(peak)}FLOP/s; {', '.join(texts)}"
    yield svg.words(said, svg.WIDTH - 4, 13, "tick end")


def _spots(frame: Frame, label: str, mine: Sequence[Attained]) -> str:
    x, y = frame.x(mine[-1].intensity), frame.y(mine[-1].rate)
    return tag("circle", tag("title", svg.text(label)), class_="spot", cx=x, cy=y, r=2.5)


def _trail(frame: Frame, style: int, mine: Sequence[Attained]) -> str:
    """From the shortest length on; the mark stands at the longest."""
    places = [(frame.x(one.intensity), frame.y(one.rate)) for one in mine]
    d = "M" + "L".join(f"{n(x)} {n(y)}" for x, y in places)
    return tag("path", class_=f"c{style} line", d=d) + svg.marks(style, places[-1:])


def _legend(frame: Frame, styles: Mapping[str, int], named: Sequence[str]) -> Iterator[str]:
    left = frame.x.end + 18
    for row, label in enumerate(named):
        y = frame.y.end + 12 + ROW * row
        yield svg.marks(styles[label], [(left, y)])
        yield svg.words(svg.shortened(label), left + 10, y + 4, f"c{styles[label]} label")
