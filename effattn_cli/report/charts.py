"""What is worth a picture: the curves of a profile, of a choice, and those that have changed."""

import math
from collections.abc import Iterator, Mapping, Sequence

from effattn_cli import units
from effattn_cli.analysis.compare.comparison import Comparison, Pair
from effattn_cli.analysis.compare.verdicts import Change
from effattn_cli.analysis.crossover.crossing import crossover, is_predicted, value
from effattn_cli.analysis.selection.ranking import Choice
from effattn_cli.analysis.series import Group, groups
from effattn_cli.metrics import Metric
from effattn_cli.records import Profile
from effattn_cli.report import phrases
from effattn_cli.report.metric_words import TOLD
from effattn_cli.report.profile.claims import listed
from effattn_cli.report.terminal_chart import MOST, Chart, Series

#: With the base of the marks on their axis.
AXES: Mapping[Metric, float] = {"latency": 10, "memory": 2}
COMPARED: Mapping[Metric, float] = {"latency": 10, "memory": 2, "energy": 10}
MOST_CHANGED = 3  # variants, of two curves each, that lie close to one another


def of_profile(profile: Profile) -> Iterator[Chart]:
    """Latency and memory of every setting, with where the variants overtake the baseline."""
    tables = groups(profile.records)
    for group in tables:
        for metric, base in AXES.items():
            series = [_series(group, label, metric) for label in group.labels[:MOST]]
            yield Chart(
                title=f"{TOLD[metric].title} over tokens",
                series=[each for each in series if each.points],
                scale=TOLD[metric].scale,
                base=base,
                crossings=[*_crossings(group, profile.baseline or "", metric)],
                above=phrases.title(group.shape) if len(tables) > 1 else "",
            )


def _series(group: Group, label: str, metric: Metric) -> Series:
    found = [(r, value(r, metric)) for r in group.curve(label)]
    points = [(r.cell.seq, v, not is_predicted(r, metric)) for r, v in found if v]
    return Series(label=label, points=points)


def _crossings(group: Group, baseline: str, metric: Metric) -> Iterator[tuple[float, str]]:
    for label in group.labels[:MOST]:
        found = crossover(group, label, baseline, metric) if label != baseline else None
        at = found.crossing.at if found is not None else None
        if found is not None and at is not None and at > found.crossing.first:
            yield at, f"{label} beats {baseline}"


def of_choice(choice: Choice) -> Iterator[Chart]:
    """The curves of the best candidates against each limit."""
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
        yield Chart(
            title=f"{limit.resource} over tokens",
            series=[each for each in series if each.points],
            scale=TOLD[limit.resource].scale,
            base=2 if limit.resource == "memory" else 10,
            limit=limit.most,
            crossings=[(choice.seq, "the length asked for")],
        )


def of_comparisons(found: Mapping[str, Comparison]) -> Iterator[Chart]:
    """The variants that changed most, old and new, in every setting of every new profile."""
    for name, each in found.items():
        partners = {id(pair.new): pair for pair in each.pairs}
        for group in groups(pair.new for pair in each.pairs):
            above = [units.clean(name)] if len(found) > 1 else []
            above.append(phrases.title(group.shape))
            curves = {
                label: [partners[id(record)] for record in group.curve(label)]
                for label in group.labels
            }
            for metric, base in COMPARED.items():
                yield _changed(curves, metric, base, ": ".join(above))


def _changed(
    curves: Mapping[str, Sequence[Pair]], metric: Metric, base: float, above: str
) -> Chart:
    known = {
        label: [(p.cell.seq, p.changes[metric]) for p in pairs if metric in p.changes]
        for label, pairs in curves.items()
    }
    known = {label: points for label, points in known.items() if len(points) > 1}
    size = {label: max(_size(change) for _, change in points) for label, points in known.items()}
    order = sorted((label for label in known if size[label]), key=lambda one: -size[one])
    series = [
        Series(label=f"{label}, {side}", points=points)
        for label in order[:MOST_CHANGED]
        for side in ("old", "new")
        if (points := [(seq, v, True) for seq, c in known[label] if (v := getattr(c, side))])
    ]
    return Chart(
        title=f"{TOLD[metric].title} over tokens, old and new",
        series=series,
        scale=TOLD[metric].scale,
        base=base,
        above=above,
        below=[*_left_out(order[MOST_CHANGED:], len(known) - len(order))],
    )


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
