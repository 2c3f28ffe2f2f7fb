"""Several profiles: what each is of, the curves that they share on one scale, what changed."""

from collections.abc import Iterator, Mapping, Sequence

from effattn_cli import units
from effattn_cli.analysis.compare.comparison import compare
from effattn_cli.analysis.series import Series, by_setting
from effattn_cli.metrics import LATENCY, PEAK, Metric
from effattn_cli.records import Profile
from effattn_cli.report.compare import comparison_view
from effattn_cli.report.page import curves, picks, tables
from effattn_cli.report.page.setting_section import FEW, details, figure
from effattn_cli.report.page.svg import tag, text
from effattn_cli.report.page.theme import CURVES
from effattn_cli.setting import Setting


def section(profiles: Mapping[str, Profile]) -> str:
    """All profiles beside one another; the first is what the others are compared with."""
    parts = [tag("h2", "Side by side", id="beside"), _machines(profiles)]
    parts += [*_curves(profiles), *_changes(profiles)]
    return tag("section", "".join(parts))


def _machines(profiles: Mapping[str, Profile]) -> str:
    rows = [
        (
            name,
            profile.machine.words,
            profile.machine.torch,
            profile.created[:10],
            profile.machine.effattn,
            str(len(profile.records)),
        )
        for name, profile in profiles.items()
    ]
    titles = ("profile", "machine", "torch", "date", "effattn", "cells")
    return tables.plain(titles, rows, "The profiles")


def _curves(profiles: Mapping[str, Profile]) -> Iterator[str]:
    """The charts of each setting that at least two profiles have."""
    by_profile = {
        name: {series.setting: series for series in by_setting(profile.records)}
        for name, profile in profiles.items()
    }
    settings = dict.fromkeys(key for every in by_profile.values() for key in every)
    for setting in settings:
        mine = {name: every[setting] for name, every in by_profile.items() if setting in every}
        if len(mine) > 1:
            yield _shared(setting, mine, profiles)


def _shared(setting: Setting, mine: Mapping[str, Series], profiles: Mapping[str, Profile]) -> str:
    first = next(iter(mine))
    styles = picks.Styles(profiles[first].baseline).of(_labels(mine, profiles[first].baseline))
    parts = [tag("h3", text(setting.title))]
    for metric in (LATENCY, PEAK):
        figures = "".join(_figures(mine, metric, styles))
        parts.append(tag("div", figures, class_="figures"))
    return "".join(parts)


def _labels(mine: Mapping[str, Series], baseline: str | None) -> list[str]:
    """What is drawn: variants that more than one profile has before those that one has."""
    picked = [label for series in mine.values() for label in picks.picked(series, baseline)]
    count = {label: sum(label in one.labels for one in mine.values()) for label in picked}
    order = sorted(count, key=lambda label: (label != baseline, -count[label]))
    return order[: CURVES if baseline in order else CURVES - 1]


def _figures(
    mine: Mapping[str, Series], metric: Metric, styles: Mapping[str, int]
) -> Iterator[str]:
    scope = [curves.Curves(series=series, metric=metric, styles=styles) for series in mine.values()]
    for name, shown in zip(mine, scope, strict=True):
        chart = curves.chart(shown, scope, f"{units.clean(name)}: ")
        if chart is not None:
            caption = f"{metric.title} in {units.clean(name)}"
            order = picks.by_latency(shown.series, None)
            behind = tables.over_lengths(shown.series, metric, order, caption)
            yield figure(chart, behind, "On the same scales as the others.")


def _changes(profiles: Mapping[str, Profile]) -> Iterator[str]:
    """What `effattn compare` tells of each later profile against the first."""
    names = list(profiles)
    old = profiles[names[0]]
    comparisons = {name: compare(old, profiles[name]) for name in names[1:]}
    opening = [*comparison_view.opening(comparisons, names[0])]
    yield tag("h3", text(f"Changes against {units.clean(names[0])}"))
    yield _list(opening)
    for block in comparison_view.blocks(comparisons, all=False):
        content = tables.grid(block.grid, block.title)
        yield details(block.title, content, is_open=not block.folds)
    closing = [*comparison_view.closing(comparisons, all=True)]
    if closing:
        few = len(closing) <= FEW
        yield details("Cells of one profile alone, and how small a change shows", _list(closing),
                      is_open=few)  # fmt: skip


def _list(sentences: Sequence[str]) -> str:
    items = "".join(tag("li", text(sentence.strip())) for sentence in sentences)
    return tag("ul", items, class_="findings") if items else ""
