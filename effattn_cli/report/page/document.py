"""The whole page, and one chart of it by itself."""

from collections.abc import Iterator, Mapping, Sequence

from effattn_cli import units
from effattn_cli.analysis.completeness import lacks
from effattn_cli.analysis.series import by_setting
from effattn_cli.errors import UsageError
from effattn_cli.records import Profile, Record
from effattn_cli.report import phrases
from effattn_cli.report.catalog import machine_view
from effattn_cli.report.page import (
    model_section,
    picks,
    setting_section,
    side_by_side,
    svg,
    tables,
    theme,
)
from effattn_cli.report.page.setting_section import details
from effattn_cli.report.page.setting_view import View, Wish, charts, view
from effattn_cli.report.page.svg import tag, text

#: Nothing is loaded from anywhere, and no script runs but the page's own.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

FOOT = (
    "Made by effattn. A multiply-add is two FLOPs; KiB, MiB and GiB are powers of 1024, and 1k"
    " tokens are 1024."
)


def page(profiles: Mapping[str, Profile], wish: Wish | None = None) -> str:
    """One page of HTML, complete in itself; `profiles` are by name."""
    wish = wish or Wish()
    chapters, links = [], []
    several = len(profiles) > 1
    for number, (name, profile) in enumerate(profiles.items(), 1):
        before = f"p{number}" if several else ""
        views = _views(profile, wish)
        entries = {
            f"{before}s{index}": _heading(shown, views) for index, shown in enumerate(views, 1)
        }
        links.append((name if several else "", entries, views))
        if several:
            chapters.append(tag("h1", text(name), class_="chapter") + _lacks(profile))
        chapters += model_section.section(profile, before)
        parts = zip(views, entries.items(), strict=True)
        chapters += [setting_section.section(shown, *entry) for shown, entry in parts]
        chapters += [*_failed(profile, before), *_variants(profile, before)]
        chapters.append(_repeating(profile, before))
    beside = side_by_side.section(profiles) if several else ""
    body = [_header(profiles), _contents(links), beside, *chapters]
    return _document(_title(profiles), "".join(body))


def chart(profile: Profile, name: str, wish: Wish) -> str:
    """One chart of a profile of one setting, as SVG.

    Raises:
        UsageError: there is nothing to draw.
    """
    shown = _views(profile, wish)[0]
    drawn = charts(shown)
    if name not in drawn:
        there = f"--chart {', '.join(drawn)}" if drawn else None
        raise UsageError(f"the profile has nothing for the chart {name!r}", there)
    return svg.standalone(drawn[name], [phrases.origin(profile), shown.series.setting.title])


def _views(profile: Profile, wish: Wish) -> list[View]:
    styles = picks.Styles(profile.baseline)
    every = by_setting(profile.records)
    return [view(profile, series, styles, wish) for series in every]


def _heading(shown: View, views: Sequence[View]) -> str:
    """What sets a setting apart from the others."""
    apart = shown.series.setting.apart(other.series.setting for other in views)
    return (apart[:1].upper() + apart[1:]) or "Results"


def _title(profiles: Mapping[str, Profile]) -> str:
    if len(profiles) > 1:
        return f"Attention profiles: {', '.join(profiles)}"
    (profile,) = profiles.values()
    if profile.models:
        return f"{profile.models[0].name}, the whole model"
    labels = dict.fromkeys(
        r.cell.label for r in profile.records if r.cell.label != profile.baseline
    )
    against = f" against {profile.baseline}" if profile.baseline else ""
    if len(labels) > 3:
        return f"{len(labels)} attention variants{against}"
    return f"{', '.join(labels)}{against}" if labels else profile.baseline or "Attention"


def _header(profiles: Mapping[str, Profile]) -> str:
    parts = [tag("h1", text(_title(profiles)))]
    for profile in profiles.values() if len(profiles) == 1 else ():
        parts.append(tag("p", text(phrases.origin(profile)), class_="origin"))
        parts.append(tag("p", _command(profile), class_="origin"))
        parts.append(_lacks(profile))
    return tag("header", "".join(parts))


def _lacks(profile: Profile) -> str:
    """What the sweep was interrupted before, or what its time budget ended."""
    missing = lacks(profile)
    return tag("p", text(missing), class_="origin") if missing else ""


def _command(profile: Profile) -> str:
    return tag("code", text(profile.command), class_="command")


def _contents(links: Sequence[tuple[str, Mapping[str, str], Sequence[View]]]) -> str:
    """Links to the settings, each with its first finding, where there are several."""
    if sum(len(entries) for _, entries, _ in links) < 2:
        return ""
    items = []
    if len(links) > 1:
        items.append(tag("li", tag("a", "Side by side", href="#beside")))
    for name, entries, views in links:
        for (anchor, heading), shown in zip(entries.items(), views, strict=True):
            full = f"{name}: {heading}" if name else heading
            finding = setting_section.lead(shown)
            link = tag("a", text(full), href=f"#{anchor}")
            items.append(tag("li", link + tag("span", text(finding))))
    return tag("nav", tag("ul", "".join(items)), aria_label="Contents")


def _failed(profile: Profile, before: str) -> Iterator[str]:
    """Every cell without a result, those of one reason together, and what predictions stand for."""
    lacking = [record for record in profile.records if record.status != "measured"]
    if not lacking:
        return
    several = by_setting(profile.records)
    rows: list[tuple[str, ...]] = []
    for series in several:
        setting = series.setting.apart(other.setting for other in several)
        grouped: dict[tuple[str, str], list[int]] = {}
        for record in series.records:
            if record.status != "measured":
                grouped.setdefault((record.cell.label, _why(record)), []).append(record.cell.seq)
        apart = (setting,) if len(several) > 1 else ()
        rows += [
            (label, ", ".join(map(units.length, seqs)), why, *apart)
            for (label, why), seqs in grouped.items()
        ]
    number = sum(record.status == "failed" for record in lacking)
    words = f"{units.number(number, 'cell')} failed" if number else "No cell failed"
    others = len(lacking) - number
    more = f"; {others} predicted or not measured yet" if others else ""
    titles = ("variant", "at", "reason", *(["setting"] if len(several) > 1 else []))
    table = tables.plain(titles, rows, "What was not measured, and why")
    heading = tag("h2", "What was not measured", id=f"{before}failed")
    content = heading + details(f"{words}{more}", table, is_open=len(rows) <= setting_section.ROWS)
    yield tag("section", content)


def _why(record: Record) -> str:
    if record.failure is not None:
        return phrases.reason(record.failure)
    if record.prediction is not None:
        anchor = units.length(record.prediction.anchor_seq)
        return f"predicted from {anchor}: {record.prediction.why}"
    return "not measured yet"


def _variants(profile: Profile, before: str) -> Iterator[str]:
    rows = [
        (
            name,
            variant.card.kind,
            variant.summary,
            variant.card.time,
            variant.card.paper,
            "" if variant.origin == "bundled" else variant.origin,
            variant.code,
        )
        for name, variant in profile.variants.items()
    ]
    titles = ("variant", "kind", "what it does", "time", "paper", "plugin", "code")
    table = tables.plain(titles, rows, "The variants, as their cards describe them")
    heading = tag("h2", "The variants", id=f"{before}variants")
    content = heading + details(f"{units.number(len(rows), 'variant')} and what they do", table)
    yield tag("section", content)


def _repeating(profile: Profile, before: str) -> str:
    """The command, the machine and the versions."""
    sampling = profile.sampling
    how = {
        "measured": f"{profile.created[:16].replace('T', ' ')} UTC",
        "effattn": profile.machine.effattn,
        "rounds": f"{sampling.rounds}, each in a process of its own",
        "precision": f"{units.percent(sampling.precision)} of the median",
        "sampling": f"{units.seconds(sampling.seconds)} or {sampling.max_samples} samples a round",
        "time limit": units.duration(sampling.time_limit),
        "time budget": units.duration(sampling.time_budget) if sampling.time_budget else "",
        "seed": str(sampling.seed),
    }
    limits = machine_view.shown(profile.machine, profile.rooflines)
    parts = [
        tag("h2", "To repeat it", id=f"{before}repeat"),
        tag("p", _command(profile)),
        tag("h3", "How it was measured"), tables.facts(how),
        tag("h3", "Machine"), tables.facts(machine_view.facts(profile.machine)),
        *([tag("h3", "What its devices reach"), tables.lines(limits, "Rooflines")]
          if profile.rooflines else []),
    ]  # fmt: skip
    return tag("section", "".join(parts))


def _document(title: str, body: str) -> str:
    head = [
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        tag("title", text(title)),
        f"<style>{theme.of_page()}</style>",
    ]
    foot = tag("footer", tag("p", text(FOOT)))
    script = f"<script>{theme.script()}</script>"
    return (
        f'<!doctype html>\n<html lang="en"><head>{"".join(head)}</head>\n'
        f"<body><main>{body}</main>{foot}{script}</body></html>\n"
    )
