"""What a page shows of one setting of a profile: findings, charts, and the table behind each."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from effattn_cli import units
from effattn_cli.analysis.selection.relaxation import relaxations
from effattn_cli.errors import UsageError
from effattn_cli.metrics import Metric
from effattn_cli.report import crossover_view
from effattn_cli.report.choice import budget_phrases, evidence_words, recommendation, sentence
from effattn_cli.report.page import pareto, roofline, svg, tables
from effattn_cli.report.page.setting_view import View, charts
from effattn_cli.report.page.svg import Chart, tag, text
from effattn_cli.report.profile import tables as terminal_tables

FEW = 8  # sentences up to which all are shown at once
ROWS = 14  # of a table up to which it is open


def section(shown: View, anchor: str, heading: str) -> str:
    """All of a setting."""
    drawn = charts(shown)
    parts = [
        tag("h2", text(heading), id=anchor),
        tag("p", text(shown.series.setting.title), class_="setting"),
        *_findings(shown),
        *_decision(shown),
        tag("div", "".join(_figures(shown, drawn)), class_="figures"),
        *_speedups(shown),
        *_crossovers(shown),
        *_every_cell(shown),
    ]
    return tag("section", "".join(parts))


def lead(shown: View) -> str:
    """The first finding."""
    return next(iter(shown.sentences), "")


def _findings(shown: View) -> Iterator[str]:
    items = [tag("li", text(sentence)) for sentence in shown.sentences]
    if len(items) <= FEW:
        yield tag("ul", "".join(items), class_="findings")
    else:
        yield tag("ul", items[0], class_="findings")
        rest = tag("ul", "".join(items[1:]))
        yield details(f"{len(items) - 1} more findings", rest)


def _decision(shown: View) -> Iterator[str]:
    """Within the limits: the answer of `effattn choose`."""
    if not shown.wish.limits:
        return
    choice = shown.choice
    relaxed = relaxations(choice) if choice.best is None else []
    answer = recommendation.answer(choice, shown.series.setting, relaxed, {}, everything=True)
    yield tag("h3", text(f"Within {budget_phrases.limits(choice.required)}"))
    yield tag(
        "div",
        tables.lines(answer, "The variants against the limits", shown.series.setting.title),
        class_="answer",
    )
    yield tag("p", text(sentence.answer(choice).plain), class_="answer")


def _figures(shown: View, drawn: Mapping[str, Chart]) -> Iterator[str]:
    for metric in shown.curves:
        if metric.name in drawn:
            behind = tables.over_lengths(
                shown.series, metric, shown.order, f"{metric.title}, values"
            )
            yield figure(drawn[metric.name], behind, _reading(shown, metric))
    if "pareto" in drawn:
        yield figure(drawn["pareto"], _pareto_table(shown), PARETO)
    if "roofline" in drawn:
        yield figure(drawn["roofline"], _roofline_table(shown), ROOFLINE)


PARETO = (
    "Down and to the left is better. The steps are the front: one of it is at least as good as any"
    " other variant in latency and in memory. A cross is the 95 % interval; a hollow mark was not"
    " measured at this length."
)
ROOFLINE = (
    "FLOPs and bytes are counted for the eager program, the latency is measured. A line goes from"
    " the shortest length to the mark at the longest."
)


def _reading(shown: View, metric: Metric) -> str:
    """What the signs in a chart of curves mean, as far as they occur."""
    records = shown.series.records
    said = ["Both axes are logarithmic."]
    if metric.noisy:
        said.append("A band is the 95 % interval.")
    if any(r.prediction is not None for r in records if metric.read(r)):
        said.append("Hollow marks and dashes are predicted.")
    if any(r.failure is not None and r.cell.label in shown.styles for r in records):
        said.append("A cross at the top is a cell that failed.")
    others = len(shown.series.labels) - len(shown.styles)
    if others > 0:
        said.append(f"In grey: {units.number(others, 'other variant')}, named in the table.")
    return " ".join(said)


def figure(chart: Chart, behind: str, reading: str) -> str:
    caption = tag("figcaption", tag("b", text(chart.title)) + tag("span", text(reading)))
    return tag("figure", caption + svg.inline(chart) + details("Table", behind))


def details(summary: str, content: str, *, is_open: bool = False) -> str:
    opened = {"open": "open"} if is_open else {}
    return tag("details", tag("summary", text(summary)) + content, **opened)


def _pareto_table(shown: View) -> str:
    choice = shown.choice
    there = pareto.valued(choice)
    ahead = {one.label for one in pareto.front(there)}
    rows = [
        (
            one.label,
            shown.kinds[one.label],
            *(
                budget_phrases.amount(one.estimates[resource], choice.required.metric(resource))
                for resource in ("latency", "memory")
            ),
            "yes" if one.label in ahead else "",
            sentence.swap_of(one),
            evidence_words.column(one, choice),
        )
        for one in there
    ]
    titles = (
        "variant", "kind", choice.required.metric("latency").title, "memory", "on the front",
        "swap", "evidence",
    )  # fmt: skip
    caption = f"Latency and memory at {units.length(choice.seq)} tokens"
    said = "; ".join(evidence_words.legend(there, choice))
    table = tables.plain(titles, rows, caption)
    return table + (tag("p", text(said), class_="reading") if said else "")


def _roofline_table(shown: View) -> str:
    rows = [
        (
            label,
            units.length(one.record.cell.seq),
            f"{one.intensity:.3g}",
            f"{units.count(one.rate)}FLOP/s",
            f"{units.percent(one.used.fraction)} {one.used.bound}",
        )
        for label, mine in roofline.attained(shown.series, shown.profile.rooflines).items()
        for one in mine[-1:]
    ]
    titles = ("variant", "at", "FLOP/B", "attained", "of the roofline")
    return tables.plain(titles, rows, "At the longest measured length of each variant")


def _speedups(shown: View) -> Iterator[str]:
    caption = f"Speed-up over {units.clean(shown.baseline or '')}, by length"
    heat = tables.heat(shown.series, shown.baseline, caption)
    if heat:
        yield tag("h3", text(f"How many times faster than {units.clean(shown.baseline or '')}"))
        yield tag("p", "Above 1x the variant is faster. ? is too close to call, ~ rests on a"
                       " prediction.", class_="reading")  # fmt: skip
        yield heat


def _crossovers(shown: View) -> Iterator[str]:
    """From which length on each variant is better, and how well that is known."""
    if len(shown.series.seqs) < 2:
        return
    with suppress(UsageError):  # nothing to cross
        crossovers = crossover_view.table(shown.profile)
        content = tables.lines(crossovers, "Crossover lengths", shown.series.setting.title)
        few = len(shown.series.labels) <= ROWS // 2
        yield tag("h3", "Crossovers")
        yield details("From which length on each variant is better", content, is_open=few)


def _every_cell(shown: View) -> Iterator[str]:
    number = units.number(len(shown.series.records), "cell")
    every = terminal_tables.tables(shown.profile)
    content = tables.lines(every, "Every cell", shown.series.setting.title)
    yield tag("h3", "Every cell")
    yield details(f"All columns of {number}", content, is_open=len(shown.series.records) <= ROWS)
