"""Fidelity as people read it: error against knob against cost, by regime; then a sentence."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis import fidelity
from effattn_cli.evaluation import OWN, Evaluation, Evidence, Fidelity
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
        shown += [Text(title, "bold"), _errors(evaluation, records, regimes), Text()]
        if any(one.overlaps for record in records for one in record.fidelity):
            title = (
                "Of the ten keys that weigh most for a query, the share that weighs most here too"
            )
            shown += [Text(title, "bold"), _overlaps(evaluation, records, regimes), Text()]
        if notes := [Text(line, "dim") for line in _notes(records)]:
            shown += [*notes, Text()]
        shown += map(Text, sentences(evaluation, records, limit))
    return Group(*shown)


def _setting(cell: Cell) -> str:
    setting = cell.setting
    width = setting.head_dim or setting.dim // setting.heads
    causal = "causal" if setting.causal else "not causal"
    heads = units.number(setting.heads, "head")
    return f"{units.length(cell.seq)} tokens, {causal}, {heads} of {width}, {setting.dtype}"


def _errors(evaluation: Evaluation, records: Sequence[Evidence], regimes: Sequence[str]) -> Grid:
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
        cells = [Text(named(evaluation, record)), Text(flops), Text(state)]
        cells += [_error(fidelity.of_regime(record, regime)) for regime in regimes]
        rows.append(Row(cells=tuple(cells)))
    return Grid(columns, rows)


def _error(measured: Fidelity | None) -> Text:
    mean = None if measured is None else fidelity.mean(measured.errors)
    if measured is None or mean is None:
        return Text("failed" if measured is not None and measured.failure else "-", "dim")
    half = "" if mean.half is None or mean.value < LEAST else f" ±{units.percent(mean.half)}"
    return Text(share(mean.value) + half.removesuffix(" %"))


def share(value: float) -> str:
    return f"<{100 * LEAST:g} %" if value < LEAST else units.percent(value)


def _overlaps(evaluation: Evaluation, records: Sequence[Evidence], regimes: Sequence[str]) -> Grid:
    columns = [
        Column(title="variant", folds=1),
        *(Column(title=regime, right=True) for regime in regimes),
    ]
    rows = []
    for record in records:
        cells = [Text(named(evaluation, record))]
        for regime in regimes:
            one = fidelity.of_regime(record, regime)
            mean = None if one is None else fidelity.mean(one.overlaps)
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


def sentences(evaluation: Evaluation, records: Sequence[Evidence], limit: float) -> Iterator[str]:
    """One for each variant: which value of its knob a trained model can live with, and where."""
    for nearness in fidelity.nearnesses(records, limit):
        if nearness.near or nearness.beyond:
            yield _sentence(evaluation, nearness, limit)


def _sentence(evaluation: Evaluation, nearness: fidelity.Nearness, limit: float) -> str:
    name, several = units.clean(nearness.variant), nearness.choices > 1
    by_choice: dict[str, list[str]] = {}
    for regime, record in nearness.near.items():
        knob = f"with {knobs(evaluation, record) or 'its defaults'} " if several else ""
        by_choice.setdefault(knob, []).append(regime)
    start = f"With an error below {units.percent(limit)}, a trained model can live with {name}"
    if not nearness.near:
        regime, (record, error) = min(nearness.beyond.items(), key=lambda item: item[1][1])
        knob = f" with {knobs(evaluation, record)}" if several else ""
        return f"{start} nowhere: it comes nearest {_where([regime])}{knob}, {share(error)}."
    if not nearness.beyond and len(by_choice) == 1 and len(nearness.near) > 1:
        return f"{start} {next(iter(by_choice))}in every regime."
    near = "; ".join(f"{knob}{_where(regimes)}" for knob, regimes in by_choice.items())
    return f"{start} {near}{_others(nearness)}."


def _others(nearness: fidelity.Nearness) -> str:
    """Where no choice is near enough."""
    if not nearness.beyond:
        return ""
    errors = [error for _, error in nearness.beyond.values()]
    low, high = share(min(errors)), share(max(errors))
    at_best = low if low == high else f"{low} to {high}"
    tried = "no value tried does" if nearness.choices > 1 else "it does not"
    where = _where(nearness.beyond) if len(nearness.beyond) < 4 else "in the others"
    return f"; {where} {tried} ({at_best})"


def _where(regimes: Collection[str]) -> str:
    """`in local and captured`, `on your q, k and v`."""
    random = [regime for regime in regimes if regime != OWN]
    texts = ["on your q, k and v"] if OWN in regimes else []
    return " and ".join(texts + ([f"in {_listed(random)}"] if random else []))


def named(evaluation: Evaluation, record: Evidence) -> str:
    """The label, with the values of its knobs where they are usual, too."""
    cell, text = record.cell, knobs(evaluation, record)
    shown = {f"{name}={value}": None for name, value in cell.options.items()}
    shown |= dict.fromkeys(text.split(", ") if text else ())
    return units.clean(f"{cell.variant}:{','.join(shown)}" if shown else cell.variant)


def knobs(evaluation: Evaluation, record: Evidence) -> str:
    """`window=256`; what says how near it comes."""
    variant = evaluation.variants[record.cell.variant]
    usual = {option.name: option.default for option in variant.options}
    values = {name: record.cell.options.get(name, usual.get(name)) for name in variant.card.knobs}
    return ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)


def _listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
