"""Latency and memory over the length, on logarithmic axes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from effattn_cli import units
from effattn_cli.analysis.series import Series
from effattn_cli.estimate import Estimate
from effattn_cli.metrics import Metric
from effattn_cli.report import phrases
from effattn_cli.report.choice.budget_phrases import plain
from effattn_cli.report.page import scales, svg
from effattn_cli.report.page.svg import Chart, Frame, n, tag

ROW = 15  # pixels between two labels
Points = Sequence[tuple[int, Estimate]]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The curves of one metric in one setting; those without a style stay grey and unnamed."""

    series: Series
    metric: Metric
    styles: Mapping[str, int]

    @property
    def points(self) -> dict[str, Points]:
        """Of each variant that has a value above nothing: a logarithm has no place for that."""
        every = {label: self._points(label) for label in self.series.labels}
        return {label: points for label, points in every.items() if points}

    def _points(self, label: str) -> Points:
        points = [(r.cell.seq, self.metric.read(r)) for r in self.series.curve(label)]
        return [(seq, e) for seq, e in points if e is not None and e.value > 0]


def chart(curves: Curves, scope: Sequence[Curves] = (), above: str = "") -> Chart | None:
    """None where there is no value. `scope` are those that share the scales, side by side."""
    points = curves.points
    if not points:
        return None
    frame = _frame([*scope, curves])
    named = [label for label in curves.styles if label in points]
    others = [label for label in points if label not in curves.styles]
    decode = curves.series.setting.phase == "decode"
    body = [_axes(frame, curves, "tokens of context" if decode else "tokens")]
    body += [_faint(frame, label, points[label]) for label in others]
    bands = [_band(frame, curves.styles[label], points[label]) for label in named]
    body += [*bands, *(_line(frame, curves.styles[label], points[label]) for label in named)]
    body += [
        *_failures(frame, curves),
        *_labels(frame, curves.styles, {k: points[k] for k in named}),
    ]
    return Chart(
        title=f"{above}{_capital(curves.metric.title)} over tokens",
        description=_described(curves, named, len(others)),
        body="".join(body),
    )


def _frame(scope: Sequence[Curves]) -> Frame:
    every = [points for curves in scope for points in curves.points.values()]
    names = [svg.shortened(label) for curves in scope for label in curves.styles]
    room = svg.LETTER * max(map(len, names), default=0) + 34
    seqs = {seq for curves in scope for seq in curves.series.seqs}
    bounds = [end for curves in scope for label in curves.styles
              for _, e in curves.points.get(label, ()) for end in (e.low, e.high)]  # fmt: skip
    x = scales.Scale(min(seqs) / 1.08, max(seqs) * 1.08, svg.LEFT, svg.WIDTH - room)
    values = [estimate.value for points in every for _, estimate in points]
    y = scales.spanning(values, bounds, svg.HEIGHT - svg.BOTTOM, svg.TOP + 12)
    return Frame(x=x, y=y)


def _axes(frame: Frame, curves: Curves, name: str) -> str:
    seqs = curves.series.seqs
    shown = scales.thinned([frame.x(seq) for seq in seqs], 34)
    xs = [(float(seqs[index]), units.length(seqs[index])) for index in shown]
    ys = [(value, plain(curves.metric.show(value)))
          for value in scales.ticks(frame.y, curves.metric.base)]  # fmt: skip
    return frame.axes(xs, ys, (name, curves.metric.title))


def _path(frame: Frame, points: Iterable[tuple[int, float]]) -> str:
    return "M" + "L".join(f"{n(frame.x(seq))} {n(frame.y(value))}" for seq, value in points)


def _faint(frame: Frame, label: str, points: Points) -> str:
    """A curve in the background; its name shows where a pointer rests on it."""
    name = tag("title", svg.text(label))
    if len(points) == 1:
        ((seq, estimate),) = points
        return tag(
            "circle", name, class_="spot", cx=frame.x(seq), cy=frame.y(estimate.value), r=2.5
        )
    return tag("path", name, class_="other", d=_path(frame, [(s, e.value) for s, e in points]))


def _band(frame: Frame, style: int, points: Points) -> str:
    """The 95 % intervals; a bar of one point alone."""
    if len(points) == 1:
        ((seq, estimate),) = points
        x = frame.x(seq)
        bar = f"M{n(x - 5)} {n(frame.y(estimate.high))}h10V{n(frame.y(estimate.low))}h-10z"
        return tag("path", class_=f"c{style} band", d=bar)
    high = [(seq, estimate.high) for seq, estimate in points]
    low = [(seq, estimate.low) for seq, estimate in reversed(points)]
    return tag("path", class_=f"c{style} band", d=_path(frame, [*high, *low]) + "z")


def _line(frame: Frame, style: int, points: Points) -> str:
    """Dashed wherever an end of a piece was not measured."""
    pieces: dict[str, list[str]] = {"line": [], "line dashed": []}
    for (seq, one), (after, other) in pairwise(points):
        measured = one.basis == other.basis == "measured"
        piece = _path(frame, [(seq, one.value), (after, other.value)])
        pieces["line" if measured else "line dashed"].append(piece)
    lines = [tag("path", class_=f"c{style} {kind}", d="".join(parts))
             for kind, parts in pieces.items() if parts]  # fmt: skip
    for hollow in (False, True):
        places = [
            (frame.x(seq), frame.y(estimate.value))
            for seq, estimate in points
            if (estimate.basis != "measured") == hollow
        ]
        lines.append(svg.marks(style, places, hollow=hollow))
    return "".join(lines)


def _failures(frame: Frame, curves: Curves) -> Iterator[str]:
    """A cross at the top for each cell that failed; the reason shows where a pointer rests."""
    stacked: dict[int, int] = {}
    for label, style in curves.styles.items():
        for record in curves.series.curve(label):
            if record.failure is not None:
                seq = record.cell.seq
                index = stacked[seq] = stacked.get(seq, -1) + 1
                x, y = frame.x(seq) - 11 * index, svg.TOP
                why = f"{label} at {units.length(seq)}: {phrases.reason(record.failure)}"
                cross = f"M{n(x - 4)} {n(y - 4)}l8 8m0-8l-8 8"
                yield tag("path", tag("title", svg.text(why)), class_=f"c{style} cross", d=cross)


def _labels(frame: Frame, styles: Mapping[str, int], points: Mapping[str, Points]) -> Iterator[str]:
    """Beside the last point of each curve, apart from one another."""
    ends = {label: mine[-1] for label, mine in points.items()}
    wanted = [frame.y(estimate.value) for _, estimate in ends.values()]
    places = scales.spread(wanted, ROW, svg.TOP, frame.y.start)
    left = frame.x.end + 18
    for (label, (seq, _)), at, place in zip(ends.items(), wanted, places, strict=True):
        lead = f"M{n(frame.x(seq) + 6)} {n(at)}L{n(left - 8)} {n(place)}"
        yield tag("path", class_=f"c{styles[label]} lead", d=lead)
        yield svg.marks(styles[label], [(left, place)])
        name = svg.words(svg.shortened(label), left + 10, place + 4, f"c{styles[label]} label")
        yield name


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _described(curves: Curves, named: Sequence[str], others: int) -> str:
    """What a reader who does not see the chart has of it: both ends of each curve."""
    parts = []
    for label in named:
        records = [r for r in curves.series.curve(label) if phrases.value(r, curves.metric)]
        ends = dict.fromkeys([records[0].cell.seq, records[-1].cell.seq])
        values = [phrases.value(record, curves.metric) for record in (records[0], records[-1])]
        texts = [
            f"{value} at {units.length(seq)}" for seq, value in zip(ends, values, strict=False)
        ]
        parts.append(f"{label} {' and '.join(texts)}")
    more = f"; {units.number(others, 'other variant')} in grey" if others else ""
    return f"On logarithmic axes: {'; '.join(parts)}{more}. The table below has all values."
