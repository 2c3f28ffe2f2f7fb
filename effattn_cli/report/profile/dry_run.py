"""What a sweep would do: every cell, what it needs, how long it would take."""

from collections.abc import Iterator, Mapping

from rich.console import Group as Lines
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.cost import time_estimate
from effattn_cli.analysis.model_time import places
from effattn_cli.analysis.series import by_setting
from effattn_cli.architecture import Model
from effattn_cli.models.budget import Deployment, memory
from effattn_cli.models.cells import parts
from effattn_cli.records import Cell, Profile, Record, Sampling
from effattn_cli.report import phrases
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.setting import Setting

DOES = {
    "forward": "reads {} tokens",
    "train": "trains on {} tokens",
    "decode": "makes a token after {}",
}
COLUMNS = (
    Column(title="seq", right=True),
    Column(title="batch", right=True, extra=1),
    Column(title="variant", folds=1),
    Column(title="FLOPs", right=True),
    Column(title="needs", right=True),
    Column(title="a call", right=True),
    Column(title="plan"),
)


def table(
    profile: Profile, calls: Mapping[Cell, float | None], elsewhere: str | None = None
) -> Lines:
    """The plan of a profile whose cells are counted; `calls` are the expected seconds of a call.
    `elsewhere` is the machine that it is for, where that is not this one.
    """
    shown: list[Text | Grid] = []
    for series in by_setting(profile.records):
        sampling = None if elsewhere is not None else profile.sampling
        rows = [_row(r, calls[r.cell], sampling) for r in series.records]
        shown += [Text(series.setting.title, "bold"), Grid(COLUMNS, rows), Text()]
    note = (
        "No variant was run: costs are counted, times (~) follow from the machine's speed."
        " needs: inputs, weights and the peak beyond them"
    )
    if elsewhere is not None:
        note = (
            f"Modelled for {elsewhere}: costs are counted, times (~) follow from that machine's"
            " rates and were never measured. needs: inputs, weights and the peak beyond them"
        )
    models = [Text(units.clean(line)) for line in _models(profile, calls)]
    total = [] if elsewhere is not None else [Text(_total(profile, calls))]
    return Lines(*shown, *total, Text(note, "dim"), *models)


def _models(profile: Profile, calls: Mapping[Cell, float | None]) -> Iterator[str]:
    """Each whole model: its time, and the memory that it takes."""
    limit = profile.sampling.memory_limit
    for setting, seq in dict.fromkeys(places(profile.records)):
        for model in profile.models:
            seconds = _seconds(model, seq, setting, calls)
            text = f"{model.name}: {DOES[setting.phase].format(units.length(seq))}"
            text += f" in ~{units.seconds(seconds)}" if seconds else " in a time that is not known"
            if seconds and setting.phase == "decode":
                text += f" ({setting.batch / seconds:.3g} tokens/s)"
            training = setting.phase == "train"
            run = Deployment(context=seq, batch=setting.batch, training=training)
            needs = memory(model, run).total
            text += f", {units.size(needs)}" + (
                " without what the backward pass keeps" if training else ""
            )
            if limit is not None:
                text += (
                    f", which {'fits' if needs <= limit else 'does not fit'} {units.size(limit)}"
                )
            yield f"{text}."


def _seconds(
    model: Model, seq: int, setting: Setting, calls: Mapping[Cell, float | None]
) -> float | None:
    """Of a pass of the model; None where a part's is not known."""
    total = 0.0
    for part in parts(model, seq, setting):
        if part.role == "mixer":
            continue
        call = calls.get(part.cell)
        if call is None:
            return None
        total += part.count * call
    return total


def _total(profile: Profile, calls: Mapping[Cell, float | None]) -> str:
    sampling, budget = profile.sampling, profile.sampling.time_budget
    samples = [
        (calls[record.cell] or 0.0) * record.steps
        for record in profile.records
        if record.failure is None
    ]
    seconds = sum(
        time_estimate.cell_seconds(sample, sampling)
        for sample in samples
        if time_estimate.affordable(sample, sampling)
    )
    if not seconds:
        return "nothing to measure"
    total = f"{units.number(len(profile.records), 'cell')}, ~{units.duration(seconds)}"
    if budget is None or seconds <= budget:
        return total
    return f"{total}; what does not fit the budget of {units.duration(budget)} is predicted"


def _row(record: Record, call: float | None, sampling: Sampling | None) -> Row:
    """Without a sampling, nothing is to be measured: it is said whether the cell fits."""
    first = [
        Text(units.length(record.cell.seq)),
        Text(str(record.cell.setting.batch)),
        Text(units.clean(record.cell.label)),
    ]
    if record.failure is not None:
        return Row(cells=(*first, Text(phrases.reason(record.failure), "red")))
    plan = Text("fits")
    if sampling is not None:
        fits = time_estimate.affordable((call or 0.0) * record.steps, sampling)
        plan = Text("measure" if fits else "predict", "" if fits else "dim")
    return Row(
        cells=(
            *first,
            Text(units.count(record.cost.flops) if record.cost else "?"),
            Text(units.size(record.needs_bytes) if record.needs_bytes else "?"),
            Text(f"~{units.seconds(call)}" if call else "?"),
            plan,
        )
    )
