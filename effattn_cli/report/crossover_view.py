"""From which length on each variant beats the baseline, and how well that length is known."""

from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.crossover.crossing import Crossing, Crossover, crossover
from effattn_cli.analysis.series import Series, by_setting
from effattn_cli.errors import UsageError
from effattn_cli.metrics import METRICS
from effattn_cli.records import Profile
from effattn_cli.report import phrases
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.sweeps import CrossedAt, Crossovers, SharedSetting
from effattn_cli.report.layout import Column, Grid, Row

CROSSING = tuple(metric for metric in METRICS.values() if metric.crosses)
COLUMNS = (
    Column(title="variant", folds=1),
    Column(title="for"),
    Column(title="better from", right=True),
    Column(title="95 % interval"),
    Column(title="at the longest length"),
    Column(title=""),
)


def crossovers(series: Series, baseline: str) -> Iterator[Crossover]:
    """Each variant against the baseline, in one metric after another."""
    for label in series.labels:
        for metric in CROSSING:
            crossed = crossover(series, label, baseline, metric) if label != baseline else None
            if crossed is not None:
                yield crossed


def table(profile: Profile) -> Lines:
    """A row for each variant and metric, a grid for each setting."""
    shown: list[RenderableType] = []
    marks: list[Crossover] = []
    for series in by_setting(profile.records):
        crossings = list(crossovers(series, _baseline(profile)))
        marks += crossings
        if crossings:
            before = [None, *crossings[:-1]]
            rows = [_row(one, other) for one, other in zip(crossings, before, strict=True)]
            shown += [Text(series.setting.title, "bold"), Grid(COLUMNS, rows), Text()]
    if not shown:
        raise UsageError("no length was measured of both the baseline and another variant")
    against = f"Crossover lengths N* against {units.clean(_baseline(profile))}"
    shown.append(Text(f"{against}, interpolated log-log between measured lengths.", "dim"))
    if any(found.crossing.at is None for found in marks):
        shown.append(Text("none up to N: no crossover at the lengths measured, up to N", "dim"))
    shown.append(Text(phrases.origin(profile), "dim"))
    if any(found.crossing.predicted for found in marks):
        shown.append(Text("~ rests on a predicted value", "dim"))
    if any(record.background_load is not None for record in profile.records):
        shown.append(Text("Other processes kept the machine busy: measure again.", "dim"))
    return Lines(*shown)


def _baseline(profile: Profile) -> str:
    if profile.baseline is None:
        raise UsageError("the profile has no baseline to cross", "effattn profile --baseline sdpa")
    return profile.baseline


def _row(crossed: Crossover, before: Crossover | None) -> Row:
    same = before is not None and before.label == crossed.label
    return Row(
        opens=not same,
        cells=(
            Text("" if same else units.clean(crossed.label)),
            Text(crossed.metric.name),
            Text(place(crossed.crossing), "bold"),
            Text(interval(crossed.crossing)),
            Text(_end(crossed)),
        ),
    )


def place(crossing: Crossing) -> str:
    """`~1.9k`, `already at 1k`, or `none up to 64k`."""
    mark = "~" if crossing.predicted else ""
    if crossing.at is None:
        return f"{mark}none up to {units.length(crossing.last)}"
    if crossing.at <= crossing.first:
        return f"{mark}already at {units.length(crossing.first)}"
    return mark + about(crossing.at)


def interval(crossing: Crossing) -> str:
    """`1.72k to 2.11k`, with what lies beyond the measured lengths in words."""
    if crossing.low is None:
        return ""
    low = (
        f"below {units.length(crossing.first)}"
        if crossing.low <= crossing.first
        else about(crossing.low)
    )
    high = (
        f"beyond {units.length(crossing.last)}" if crossing.high is None else about(crossing.high)
    )
    if crossing.high is not None and crossing.high <= crossing.first:
        return ""
    return f"{low} to {high}"


def about(seq: float) -> str:
    """A length to three digits.

    >>> about(1937.3), about(300.2), about(65536.0)
    ('1.89k', '300', '64k')
    """
    return f"{seq:.0f}" if seq < 1000 else f"{seq / 1024:.3g}k"


def _end(crossed: Crossover) -> str:
    last = crossed.last
    ratio = last.ratio if last.ratio > 1 else 1 / last.ratio
    mark = "~" if last.predicted else ""
    close = " (too close to call)" if last.ordering == "close" else ""
    where = units.length(last.seq)
    word = crossed.metric.better if last.ratio > 1 else crossed.metric.worse
    return f"{mark}{units.ratio(ratio)} {word} at {where}{close}"


def as_json(profile: Profile) -> str:
    """Lengths in tokens; null stands for "not up to the last length"."""
    baseline = _baseline(profile)
    crossings = tuple(
        CrossedAt(
            setting=SharedSetting(**series.setting.values()),
            label=one.label,
            metric=one.metric.name,
            **asdict(one.crossing),
        )
        for series in by_setting(profile.records)
        for one in crossovers(series, baseline)
    )
    return kinds.text(Crossovers(baseline=baseline, crossings=crossings))
