"""Abilities as people read them: a table for each task, accuracy by load; then a sentence each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis import ability
from effattn_cli.cards import Variant
from effattn_cli.evaluate.task_specs import TASKS
from effattn_cli.evaluation import Evaluation, Evidence
from effattn_cli.records import Cell
from effattn_cli.report import phrases
from effattn_cli.report.layout import Column, Grid, Row

CAUTION = "Tiny models on synthetic tasks: this is not the quality of a language model."


def view(evaluation: Evaluation) -> Group:
    """A table of each task, what failed, and what was learned."""
    shown: list[RenderableType] = []
    for (task, cell), records in ability.groups(evaluation.records).items():
        shown += [Text(_title(task, cell), "bold"), _table(task, records), Text()]
        shown += [Text(line, "dim") for line in _notes(task, records, evaluation.variants)]
        shown += [*map(Text, sentences(task, records)), Text()]
    if shown:
        shown.append(Text(CAUTION, "dim"))
    return Group(*shown)


def _title(task: str, cell: Cell) -> str:
    setting = cell.setting
    heads = units.number(setting.heads, "head")
    shape = f"{units.length(cell.seq)} tokens, width {setting.dim}, {heads}"
    return f"{task.capitalize()}, {TASKS[task].help}: right answers by {TASKS[task].load}; {shape}"


def _table(task: str, records: Sequence[Evidence]) -> Grid:
    columns = [
        Column(title="variant", folds=1),
        Column(title="state", right=True, extra=1),
        *(Column(title=str(load), right=True) for load in TASKS[task].loads),
        Column(title="to 90 %", right=True, extra=1),
        Column(title="rate", right=True, extra=1),
    ]
    return Grid(columns, [_row(task, record) for record in records])


def _row(task: str, record: Evidence) -> Row:
    trained = record.able(task)
    learned = None if trained is None else ability.best(trained)
    name = units.clean(record.cell.label) + ("" if record.cell.setting.causal else " (no mask)")
    kept = ability.state_of_one(record)
    first = [Text(name), Text("" if kept is None else units.size(kept))]
    if trained is None or learned is None:
        failed = trained is not None and all(run.failure for run in trained.runs)
        return Row(cells=(*first, Text("failed" if failed else "not trained yet", "dim")))
    steps = "-" if learned.steps_to_90 is None else f"{learned.steps_to_90:.0f} steps"
    accuracies = (Text(_share(learned, index)) for index in range(len(trained.loads)))
    return Row(cells=(*first, *accuracies, Text(steps), Text(f"{learned.rate:g}")))


def _share(learned: ability.Learned, index: int) -> str:
    """`97 %`, or `93-99 %` over the seeds where they differ."""
    low, high = (round(100 * value) for value in learned.spread(index))
    return f"{low} %" if low == high else f"{low}-{high} %"


def _notes(
    task: str, records: Iterable[Evidence], variants: Mapping[str, Variant]
) -> Iterator[str]:
    """Why there are no values, each reason once for a variant; and what they do not tell."""
    said: dict[str, None] = {}
    for record in records:
        trained = record.able(task)
        for run in () if trained is None else trained.runs:
            if run.failure is not None:
                said[f"{units.clean(record.cell.label)}: {phrases.reason(run.failure)}"] = None
        for name, value in ability.untested(record, variants[record.cell.variant]).items():
            label, seq = units.clean(record.cell.label), units.length(record.cell.seq)
            said[f"{label}: {name}={value} limits nothing in {seq} tokens, and is not tested"] = (
                None
            )
    yield from said


def sentences(task: str, records: Iterable[Evidence]) -> Iterator[str]:
    """One for each variant: how much of it it can do."""
    for record in records:
        trained = record.able(task)
        load = None if trained is None else ability.held(trained)
        if trained is None or load is None:
            continue
        name, what = units.clean(record.cell.label), TASKS[task].load
        kept = ability.state_of_one(record)
        state = "" if kept is None else f", with {units.size(kept)} of state"
        if load:
            yield f"{name} gets 90 % right up to {load} {what}{state}."
        else:
            yield f"{name} does not get 90 % right at {trained.loads[0]} {what}{state}."
