"""Latency against memory at one length, the front of what nothing beats in both, and the limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from effattn_cli import units
from effattn_cli.analysis.selection.candidates import Limit
from effattn_cli.analysis.selection.ranking import Choice, Evaluation
from effattn_cli.cards import Kind
from effattn_cli.estimate import Estimate
from effattn_cli.metrics import LEAST, MEMORY
from effattn_cli.report.choice import budget_phrases
from effattn_cli.report.page import scales, svg
from effattn_cli.report.page.svg import Chart, Frame, n, tag

#: What the mark of a point says: whether a model's weights keep their meaning.
MARKS: Mapping[Kind, int] = {
    "exact": 0, "approximates softmax": 1, "own mechanism": 2, "feed-forward": 3,
}  # fmt: skip
LEGEND = 20  # pixels
ROW = 15
MAX_NAMES = 14
FAR = 18  # pixels from a point to its label from which on a line joins them


@dataclass(frozen=True, kw_only=True)
class Plane(Frame):
    """A frame in which marks stand for kinds."""

    kinds: Mapping[str, Kind]  # by label

    def at(self, one: Evaluation) -> tuple[float, float]:
        return self.x(one.amount("latency")), self.y(one.amount("memory"))

    def style(self, one: Evaluation) -> int:
        return MARKS[self.kinds[one.label]]


def chart(choice: Choice, baseline: str | None, kinds: Mapping[str, Kind]) -> Chart | None:
    """None where fewer than two variants have both a latency and a memory."""
    there = valued(choice)
    if len(there) < 2:
        return None
    ahead = front(there)
    frame = _frame(there, choice.required.limits, kinds)
    named = [one for one in [*ahead, *there] if one in ahead or one.label == baseline
             or one is choice.best or len(there) <= MAX_NAMES]  # fmt: skip
    named = list({one.label: one for one in named}.values())[:MAX_NAMES]
    body = [_axes(frame, choice), *_limits(frame, choice.required.limits), _stairs(frame, ahead)]
    body += [_spot(frame, one) for one in there if one not in named]
    body += [_point(frame, one) for one in named]
    body += [*_names(frame, named), *_legend(frame, there)]
    names = ", ".join(f"{one.label} ({_values(one, choice)})" for one in ahead)
    at = units.length(choice.seq)
    return Chart(
        title=f"Latency against memory at {at} tokens",
        description=f"Nothing beats in both: {names}. The table below has all {len(there)}.",
        body="".join(body),
    )


def valued(choice: Choice) -> list[Evaluation]:
    """Those that have a place in the chart, which has none for nothing; the fastest first."""
    both = [one for one in choice.evaluations
            if all(LEAST < one.amount(r) < inf for r in ("latency", "memory"))]  # fmt: skip
    return sorted(both, key=lambda one: (one.amount("latency"), one.amount("memory"), one.label))


def front(there: Sequence[Evaluation]) -> list[Evaluation]:
    """Those that no other beats in latency and memory both; `there` has the fastest first."""
    kept: list[Evaluation] = []
    for one in there:
        if not kept or one.amount("memory") < kept[-1].amount("memory"):
            kept.append(one)
    return kept


def _values(one: Evaluation, choice: Choice) -> str:
    return " and ".join(
        budget_phrases.amount(one.estimates[resource], choice.required.metric(resource))
        for resource in ("latency", "memory")
    )


def _frame(
    there: Sequence[Evaluation], limits: Sequence[Limit], kinds: Mapping[str, Kind]
) -> Plane:
    bottom = svg.HEIGHT - svg.BOTTOM - LEGEND
    return Plane(
        kinds=kinds,
        x=_scale(there, limits, "latency", svg.LEFT, svg.WIDTH - 24),
        y=_scale(there, limits, "memory", bottom, svg.TOP),
    )


def _scale(
    there: Sequence[Evaluation], limits: Sequence[Limit], resource: str, start: float, end: float
) -> scales.Scale:
    estimates = [one.estimates[resource] for one in there]
    bounds = [bound for each in estimates for bound in (each.low, each.high)]
    values = [each.value for each in estimates]
    values += [limit.max for limit in limits if limit.resource == resource]
    return scales.spanning(values, bounds, start, end)


def _axes(frame: Frame, choice: Choice) -> str:
    latency = choice.required.metric("latency")
    xs = [(value, budget_phrases.plain(latency.show(value)))
          for value in scales.ticks(frame.x, latency.base)]  # fmt: skip
    ys = [(value, budget_phrases.plain(MEMORY.show(value)))
          for value in scales.ticks(frame.y, MEMORY.base)]  # fmt: skip
    return frame.axes(xs, ys, (latency.title, "memory"))


def _limits(frame: Frame, limits: Sequence[Limit]) -> Iterator[str]:
    """A line for each, and the area that keeps all of them."""
    x, y = frame.x.end, frame.y.end
    for limit in limits:
        text = f"limit {budget_phrases.limit(limit)}"
        if limit.resource == "latency":
            x = frame.x(limit.max)
            yield tag("path", class_="limit", d=f"M{n(x)} {n(frame.y.end)}V{n(frame.y.start)}")
            side = "limited end" if x > svg.WIDTH / 2 else "limited"
            yield svg.words(text, x - 5 if x > svg.WIDTH / 2 else x + 5, frame.y.end + 11, side)
        elif limit.resource == "memory":
            y = frame.y(limit.max)
            yield tag("path", class_="limit", d=f"M{n(frame.x.start)} {n(y)}H{n(frame.x.end)}")
            below = y < frame.y.end + 2 * ROW  # beside the name of the other limit
            place = y + 14 if below else y - 5
            yield svg.words(text, frame.x.end - 4, place, "limited end")
    if limits:
        area = f"M{n(frame.x.start)} {n(frame.y.start)}V{n(y)}H{n(x)}V{n(frame.y.start)}z"
        yield tag("path", class_="fits", d=area)


def _stairs(frame: Plane, ahead: Sequence[Evaluation]) -> str:
    """The front as steps: what lies above them is beaten."""
    places = [frame.at(one) for one in ahead]
    first, last = places[0], places[-1]
    path = f"M{n(first[0])} {n(frame.y.end)}V{n(first[1])}"
    path += "".join(f"H{n(x)}V{n(y)}" for x, y in places[1:])
    return tag("path", class_="front", d=f"{path}H{n(max(frame.x.end, last[0]))}")


def _spot(frame: Plane, one: Evaluation) -> str:
    """A point without a name, which shows where a pointer rests."""
    x, y = frame.at(one)
    shape = f"M0 0{svg.SHAPES[frame.style(one)]}"
    place = f"translate({n(x)} {n(y)}) scale(.7)"
    return tag("path", tag("title", svg.text(one.label)), class_="spot", d=shape, transform=place)


def _point(frame: Plane, one: Evaluation) -> str:
    """With the 95 % intervals as a cross."""
    x, y = frame.at(one)
    time, memory = one.estimates["latency"], one.estimates["memory"]
    bars = f"M{n(frame.x(time.low))} {n(y)}H{n(frame.x(time.high))}"
    bars += f"M{n(x)} {n(frame.y(memory.low))}V{n(frame.y(memory.high))}"
    style, hollow = frame.style(one), _is_hollow(time)
    title = tag("title", svg.text(one.label))
    cross = tag("path", title, class_=f"c{style} line", d=bars)
    return cross + svg.marks(style, [(x, y)], hollow=hollow)


def _is_hollow(estimate: Estimate) -> bool:
    return estimate.basis != "measured"


def _names(frame: Plane, named: Sequence[Evaluation]) -> Iterator[str]:
    texts = [svg.shortened(one.label) for one in named]
    within = (frame.x.start, frame.y.end, frame.x.end, frame.y.start)
    widths = [svg.LETTER * len(text) for text in texts]
    points = [frame.at(one) for one in named]
    places = scales.placed(points, widths, 13, within)
    for one, text, point, width, place in zip(named, texts, points, widths, places, strict=True):
        if place is not None:
            yield svg.words(text, place[0], place[1] + 4, f"c{frame.style(one)} label")
            yield from _lead(point, place, width, frame.style(one))


def _lead(
    point: tuple[float, float], label: tuple[float, float], width: float, style: int
) -> Iterator[str]:
    """From a point to its label where these are not side by side."""
    (x, y), (left, middle) = point, label
    if abs(y - middle) > FAR:
        near = min(max(x, left), left + width)
        up = middle + (6 if y > middle else -6)
        yield tag("path", class_=f"c{style} lead", d=f"M{n(x)} {n(y)}L{n(near)} {n(up)}")


def _legend(frame: Plane, there: Sequence[Evaluation]) -> Iterator[str]:
    """The marks that occur, below the axis."""
    present = {frame.kinds[one.label] for one in there}
    kinds = [kind for kind in MARKS if kind in present]
    x, y = float(svg.LEFT), svg.HEIGHT - 4
    for kind in kinds:
        yield svg.marks(MARKS[kind], [(x, y - 4)])
        yield svg.words(kind, x + 11, y, "tick")
        x += 28 + 6.2 * len(kind)
