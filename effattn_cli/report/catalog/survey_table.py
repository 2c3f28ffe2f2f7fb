"""Table 1 of the survey as it is printed, and beside it what is true of the implementations."""

from collections.abc import Iterable, Mapping

from rich.console import Group as Lines
from rich.text import Text

from effattn_cli.analysis.cost.scaling import Scaling
from effattn_cli.cards import Variant
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.units import clean

COLUMNS = (
    Column(title="model", folds=1),
    Column(title="year", extra=1),
    Column(title="survey", folds=2),
    Column(title="decode"),
    Column(title="class"),
    Column(title="here", extra=2, folds=2),
    Column(title="FLOPs", right=True),
    Column(title="memory", right=True),
    Column(title="decodes"),
)
NOTE = (
    "survey, decode, class: as Table 1 of arXiv:2009.06732v3 prints them. FLOPs, memory: the"
    " exponent of N that was counted here from 4k to 16k tokens; here: the order on the card;"
    " decodes: token by token. A card says where the survey contradicts itself or the paper."
)


def table(variants: Iterable[Variant], scalings: Mapping[str, Scaling | None]) -> Lines:
    """A row for each of the survey's, from the oldest on."""
    rows = sorted(
        (item for item in variants if item.card.survey is not None),
        key=lambda item: (item.card.year, item.name),
    )
    cells = (tuple(map(Text, map(clean, _row(item, scalings.get(item.name))))) for item in rows)
    grid = Grid(COLUMNS, [Row(cells=each) for each in cells])
    return Lines(grid, Text(), Text(NOTE, "dim"))


def _row(item: Variant, scaling: Scaling | None) -> tuple[str, ...]:
    survey = item.card.survey
    assert survey is not None
    return (
        item.name,
        str(item.card.year),
        survey.complexity,
        _yes(survey.decode),
        survey.classes,
        item.card.time,
        f"N^{scaling.flops:.2f}" if scaling else "-",
        f"N^{scaling.memory:.2f}" if scaling else "-",
        _yes(item.decode),
    )


def _yes(holds: bool) -> str:  # noqa: FBT001
    return "yes" if holds else "no"
