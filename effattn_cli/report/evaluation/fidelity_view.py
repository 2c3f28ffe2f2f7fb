"""Fidelity as people read it: error against knob against cost, by regime; then a sentence."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis import fidelity
from effattn_cli.evaluation import Evaluation, Evidence, Fidelity
from effattn_cli.records import Cell
from effattn_cli.report import phrases
from effattn_cli.report.layout import Column, Grid, Row

LEAST = 1e-4  # errors below are shown as being below


def view(evaluation: Evaluation, limit: float) -> Group:
    """Tables of each length and setting, what failed, and what can be lived with."""
    shown: list[RenderableType] = []
    for cell, records in fidelity.groups(evaluation.records).items():
        regimes = fidelity.regimes(records)
        title = f"Error of the output, {_setting(cell)}"
        shown += [Text(title, "bold"), _errors(records, regimes), Text()]
        if any(one.overlaps for record in records for one in record.fidelity):
            title = (
                "Of the ten keys that weigh most for a query, the share that weighs most here too"
            )
            shown += [Text(title, "bold"), _overlaps(records, regimes), Text()]
        shown += [Text(line, "dim") for line in _notes(records)]
        lines = list(sentences(records, limit))
        shown += [Text(), *map(Text, lines)]
    return Group(*shown)


def _setting(cell: Cell) -> str:
    setting = cell.setting
    width = setting.head_dim or setting.dim // setting.heads
    causal = "causal" if setting.causal else "not causal"
    heads = units.number(setting.heads, "head")
    return f"{units.length(cell.seq)} tokens, {causal}, {heads} of {width}, {setting.dtype}"


def _errors(records: Sequence[Evidence], regimes: Sequence[str]) -> Grid:
    columns = [
        Column(title="variant", folds=1),
        Column(title="FLOPs", right=True),
        Column(title="state", right=True, extra=1),
        *(Column(title=regime, right=True) for regime in regimes),
    ]
    rows = []
    for record in records:
        state = "" if record.state_bytes is None else units.size(record.state_bytes)
        flops = "" if record.cost is None else units.count(record.cost.flops)
        cells = [Text(units.clean(record.cell.label)), Text(flops), Text(state)]
        cells += [_error(fidelity.of_regime(record, regime)) for regime in regimes]
        rows.append(Row(cells=tuple(cells)))
    return Grid(columns, rows)


def _error(found: Fidelity | None) -> Text:
    mean = None if found is None else fidelity.mean(found.errors)
    if found is None or mean is None:
        return Text("failed" if found is not None and found.failure else "-", "dim")
    half = "" if mean.half is None or mean.value < LEAST else f" ±{units.percent(mean.half)}"
    return Text(share(mean.value) + half.removesuffix(" %"))


def share(value: float) -> str:
    return f"<{100 * LEAST:g} %" if value < LEAST else units.percent(value)


def _overlaps(records: Sequence[Evidence], regimes: Sequence[str]) -> Grid:
    columns = [
        Column(title="variant", folds=1),
        *(Column(title=regime, right=True) for regime in regimes),
    ]
    rows = []
    for record in records:
        cells = [Text(units.clean(record.cell.label))]
        for regime in regimes:
            found = fidelity.of_regime(record, regime)
            mean = None if found is None else fidelity.mean(found.overlaps)
            cells.append(Text("-" if mean is None else units.percent(mean.value)))
        rows.append(Row(cells=tuple(cells)))
    return Grid(columns, rows)


def _notes(records: Iterable[Evidence]) -> Iterator[str]:
    """Why there are no values, each reason once for a variant."""
    said = {
        f"{units.clean(record.cell.label)}: {phrases.reason(one.failure)}": None
        for record in records
        for one in record.fidelity
        if one.failure is not None
    }
    yield from said


def sentences(records: Sequence[Evidence], limit: float) -> Iterator[str]:
    """One for each variant: which choice is near enough in which regimes; then one for all."""
    verdicts = fidelity.verdicts(records, limit)
    for verdict in verdicts:
        if verdict.near or verdict.beyond:
            yield _sentence(verdict, limit)


def _sentence(verdict: fidelity.Verdict, limit: float) -> str:
    by_choice: dict[str, list[str]] = {}
    for regime, record in verdict.near.items():
        by_choice.setdefault(_knob(record, verdict), []).append(regime)
    near = [f"{knob}in {_listed(regimes)}" for knob, regimes in by_choice.items()]
    name = units.clean(verdict.variant)
    text = f"{name} keeps the error below {units.percent(limit)} "
    text += "; ".join(near) if near else "nowhere"
    if verdict.beyond:
        worst = max(verdict.beyond.items(), key=lambda item: item[1][1])
        regime, (record, error) = worst
        others = f"in {_listed(verdict.beyond)}" if near else "it comes no nearer than this"
        tried = "none of those tried does" if verdict.choices > 1 else "it does not"
        text += f"; {others}, {tried}: {share(error)} in {regime}" if near else ""
        if not near:
            best = min(verdict.beyond.items(), key=lambda item: item[1][1])
            text += f": {share(best[1][1])} in {best[0]} is the least"
    return f"{text}."


def _knob(record: Evidence, verdict: fidelity.Verdict) -> str:
    options = ",".join(f"{name}={value}" for name, value in record.cell.options.items())
    if verdict.choices == 1:
        return ""
    return f"with {units.clean(options) or 'its defaults'} "


def _listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
