"""What a sweep would do: every cell, what it needs, how long it would take."""

from collections.abc import Mapping

from rich.console import Group as Lines
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.cost import time_estimate
from effattn_cli.analysis.series import by_setting
from effattn_cli.records import Cell, Profile, Record, Sampling
from effattn_cli.report import phrases
from effattn_cli.report.layout import Column, Grid, Row

COLUMNS = (
    Column(title="seq", right=True),
    Column(title="batch", right=True, extra=1),
    Column(title="variant", folds=1),
    Column(title="FLOPs", right=True),
    Column(title="needs", right=True),
    Column(title="a call", right=True),
    Column(title="plan"),
)


def table(profile: Profile, calls: Mapping[Cell, float | None]) -> Lines:
    """The plan of a profile whose cells are counted; `calls` are the expected seconds of a call."""
    shown: list[Text | Grid] = []
    for series in by_setting(profile.records):
        rows = [_row(r, calls[r.cell], profile.sampling) for r in series.records]
        shown += [Text(series.setting.title, "bold"), Grid(COLUMNS, rows), Text()]
    note = (
        "No variant was run: costs are counted, times (~) follow from the machine's speed."
        " needs: inputs, weights and the peak beyond them"
    )
    return Lines(*shown, Text(_total(profile, calls)), Text(note, "dim"))


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


def _row(record: Record, call: float | None, sampling: Sampling) -> Row:
    first = [
        Text(units.length(record.cell.seq)),
        Text(str(record.cell.setting.batch)),
        Text(units.clean(record.cell.label)),
    ]
    if record.failure is not None:
        return Row(cells=(*first, Text(phrases.reason(record.failure), "red")))
    fits = time_estimate.affordable((call or 0.0) * record.steps, sampling)
    return Row(
        cells=(
            *first,
            Text(units.count(record.cost.flops) if record.cost else "?"),
            Text(units.size(record.needs_bytes) if record.needs_bytes else "?"),
            Text(f"~{units.seconds(call)}" if call else "?"),
            Text("measure" if fits else "predict", "" if fits else "dim"),
        )
    )
