"""What is worth a picture: the curves of a profile, of a choice, and those that have changed."""

import math
from collections.abc import Iterator, Mapping, Sequence

from effattn_cli import units
from effattn_cli.analysis.compare.comparison import Comparison, Pair
from effattn_cli.analysis.compare.verdicts import Change
from effattn_cli.analysis.crossover.crossing import crossover
from effattn_cli.analysis.selection.ranking import Choice
from effattn_cli.analysis.series import Series, by_setting
from effattn_cli.metrics import ENERGY, LATENCY, PEAK, Metric
from effattn_cli.records import Profile
from effattn_cli.report.profile.claims import listed
from effattn_cli.report.terminal_chart import MAX_LINES, Chart, Line

DRAWN = (LATENCY, PEAK)
COMPARED = (LATENCY, PEAK, ENERGY)
MAX_CHANGED = 3  # variants, of two curves each, that lie close to one another


def of_profile(profile: Profile) -> Iterator[Chart]:
    """Latency and memory of every setting, with where the variants overtake the baseline."""
    every = by_setting(profile.records)
    for series in every:
        for metric in DRAWN:
            lines = [_line(series, label, metric) for label in series.labels[:MAX_LINES]]
            yield Chart(
                title=f"{metric.title} over tokens",
                lines=[line for line in lines if line.points],
                scale=metric.show,
                base=metric.base,
                crossings=[*_crossings(series, profile.baseline or "", metric)],
                above=series.setting.title if len(every) > 1 else "",
            )


def _line(series: Series, label: str, metric: Metric) -> Line:
    points = []
    for record in series.curve(label):
        value = metric.value(record) if record.failure is None else None
        if value:
            points.append((record.cell.seq, value, not metric.is_predicted(record)))
    return Line(label=label, points=points)


def _crossings(series: Series, baseline: str, metric: Metric) -> Iterator[tuple[float, str]]:
    for label in series.labels[:MAX_LINES]:
        crossed = crossover(series, label, baseline, metric) if label != baseline else None
        at = crossed.crossing.at if crossed is not None else None
        if crossed is not None and at is not None and at > crossed.crossing.first:
            yield at, f"{label} beats {baseline}"


def of_choice(choice: Choice) -> Iterator[Chart]:
    """The curves of the best candidates against each limit."""
    able = [one.candidate for one in choice.evaluations if one.rejection is None][:MAX_LINES]
    for limit in choice.required.limits:
        lines = []
        for one in able:
            points = [
                (seq, estimate.value, estimate.basis == "measured")
                for seq, estimate in one.curves[limit.resource].points
            ]
            lines.append(Line(label=one.label, points=points))
        yield Chart(
            title=f"{limit.resource} over tokens",
            lines=[line for line in lines if line.points],
            scale=limit.metric.show,
            base=limit.metric.base,
            limit=limit.max,
            crossings=[(choice.seq, "the length asked for")],
        )


def of_comparisons(comparisons: Mapping[str, Comparison]) -> Iterator[Chart]:
    """The variants that changed most, old and new, in every setting of every new profile."""
    for name, comparison in comparisons.items():
        partners = {id(pair.new): pair for pair in comparison.pairs}
        for series in by_setting(pair.new for pair in comparison.pairs):
            above = [units.clean(name)] if len(comparisons) > 1 else []
            above.append(series.setting.title)
            curves = {
                label: [partners[id(record)] for record in series.curve(label)]
                for label in series.labels
            }
            for metric in COMPARED:
                yield _changed(curves, metric, ": ".join(above))


def _changed(curves: Mapping[str, Sequence[Pair]], metric: Metric, above: str) -> Chart:
    changes = {label: _changes(pairs, metric) for label, pairs in curves.items()}
    changes = {label: points for label, points in changes.items() if len(points) > 1}
    sizes = {label: max(_size(change) for _, change in points)
             for label, points in changes.items()}  # fmt: skip
    order = sorted((label for label in changes if sizes[label]), key=lambda label: -sizes[label])
    lines = []
    for label in order[:MAX_CHANGED]:
        old = [(seq, change.old, True) for seq, change in changes[label] if change.old]
        new = [(seq, change.new, True) for seq, change in changes[label] if change.new]
        lines += [Line(label=f"{label}, {side}", points=points)
                  for side, points in (("old", old), ("new", new)) if points]  # fmt: skip
    return Chart(
        title=f"{metric.title} over tokens, old and new",
        lines=lines,
        scale=metric.show,
        base=metric.base,
        above=above,
        below=[*_left_out(order[MAX_CHANGED:], len(changes) - len(order))],
    )


def _changes(pairs: Sequence[Pair], metric: Metric) -> list[tuple[int, Change]]:
    return [(p.cell.seq, p.changes[metric.name]) for p in pairs if metric.name in p.changes]


def _size(change: Change) -> float:
    """How far the ratio is from 1, where the change stands out; 0 where it does not."""
    if change.verdict not in {"better", "worse"}:
        return 0.0
    return abs(math.log(change.ratio)) if change.ratio else math.inf


def _left_out(labels: Sequence[str], unchanged: int) -> Iterator[str]:
    if labels:
        yield f"not drawn, changed less: {listed([units.clean(label) for label in labels])}"
    if unchanged:
        yield f"not drawn, no length surely changed: {unchanged} more"
