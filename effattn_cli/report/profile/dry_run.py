"""What a sweep would do: every cell, what it needs, how long it would take."""

from collections.abc import Iterator

from rich.console import Group as Lines
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.series import by_setting
from effattn_cli.records import Profile, Shard
from effattn_cli.report import phrases
from effattn_cli.report.documents.sweeps import Plan, PlannedCell, PlannedModel
from effattn_cli.report.layout import Column, Grid, Row

DOES = {
    "forward": "reads {} tokens",
    "train": "trains on {} tokens",
    "decode": "makes a token after {}",
}
UNKNOWN = " in a time that is not known"
COLUMNS = (
    Column(title="seq", right=True),
    Column(title="batch", right=True, extra=1),
    Column(title="variant", folds=1),
    Column(title="FLOPs", right=True),
    Column(title="needs", right=True),
    Column(title="a call", right=True),
    Column(title="plan"),
)


def table(profile: Profile, plan: Plan) -> Lines:
    """The plan of a profile: the cells, a grid for each setting; then the whole sweep, and whole
    models.
    """
    planned = {each.cell: each for each in plan.cells}
    shown: list[Text | Grid] = []
    for series in by_setting(profile.records):
        rows = [_row(planned[record.cell]) for record in series.records]
        shown += [Text(series.setting.title, "bold"), Grid(COLUMNS, rows), Text()]
    note = (
        "No variant was run: costs are counted, times (~) follow from the machine's speed."
        " needs: inputs, weights and the peak beyond them"
    )
    if plan.machine is not None:
        note = (
            f"Modelled for {plan.machine}: costs are counted, times (~) follow from that machine's"
            " rates and were never measured. needs: inputs, weights and the peak beyond them"
        )
    models = [Text(units.clean(line)) for line in _models(plan, profile.sampling.memory_limit)]
    total = [Text(_total(plan, plan.seconds))] if plan.seconds is not None else []
    part = [Text(units.clean(shard_line(plan.shard)))] if plan.shard is not None else []
    doubtful = [Text(units.clean(line)) for line in _doubtful(profile)]
    return Lines(*shown, *part, *total, *doubtful, Text(note, "dim"), *models)


def shard_line(shard: Shard) -> str:
    """Which part of which sweep, and the cell that every shard measures."""
    sentinel = f"{shard.sentinel.label} at {units.length(shard.sentinel.seq)}"
    whole = units.number(shard.cells, "cell")
    return f"Shard {shard.words} of a sweep of {whole}; sentinel, in every shard: {sentinel}."


def _doubtful(profile: Profile) -> Iterator[str]:
    """That the times rest on a roofline that may be too low."""
    for why in dict.fromkeys(why for item in profile.rooflines for why in item.doubts):
        yield f"! The roofline is doubtful, and these times may be too long: {why}."


def _models(plan: Plan, limit: int | None) -> Iterator[str]:
    """Each whole model: its time, and the memory that it takes."""
    for model in plan.models:
        text = f"{model.name}: {DOES[model.setting.phase].format(units.length(model.seq))}"
        text += f" in ~{units.seconds(model.seconds)}" if model.seconds else UNKNOWN
        if model.tokens_per_second:
            text += f" ({model.tokens_per_second:.3g} tokens/s)"
        yield f"{text}, {_needs(model, limit)}."


def _needs(model: PlannedModel, limit: int | None) -> str:
    text = units.size(model.needs_bytes)
    if model.setting.phase == "train":
        text += " without what the backward pass keeps"
    if limit is not None:
        text += f", which {'fits' if model.fits else 'does not fit'} {units.size(limit)}"
    return text


def _total(plan: Plan, seconds: float) -> str:
    if not seconds:
        return "nothing to measure"
    budget = plan.budget_seconds
    total = f"{units.number(len(plan.cells), 'cell')}, ~{units.duration(seconds)}"
    if budget is None or seconds <= budget:
        return total
    return f"{total}; what does not fit the budget of {units.duration(budget)} is predicted"


def _row(planned: PlannedCell) -> Row:
    cell, call = planned.cell, planned.call_seconds
    first = [
        Text(units.length(cell.seq)),
        Text(str(cell.setting.batch)),
        Text(units.clean(planned.label)),
    ]
    if planned.failure is not None:
        return Row(cells=(*first, Text(phrases.reason(planned.failure), "red")))
    return Row(
        cells=(
            *first,
            Text(units.count(planned.cost.flops) if planned.cost else "?"),
            Text(units.size(planned.needs_bytes) if planned.needs_bytes else "?"),
            Text(f"~{units.seconds(call)}" if call else "?"),
            Text(planned.plan, "dim" if planned.plan == "predict" else ""),
        )
    )
