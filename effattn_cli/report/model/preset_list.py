"""The models that are known by name."""

from collections.abc import Sequence

from rich.console import Group as Lines
from rich.text import Text

from effattn_cli import units
from effattn_cli.architecture import Model
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.catalogs import Preset, Presets
from effattn_cli.report.layout import Column, Grid, Row

COLUMNS = (
    Column(title="model", folds=1),
    Column(title="family", folds=2),
    Column(title="layers", right=True),
    Column(title="width", right=True, extra=1),
    Column(title="parameters", right=True),
    Column(title="context", right=True, extra=1),
    Column(title="mixers", extra=2),
)
NOTE = (
    "effattn model NAME shows one; profile --like NAME takes its shapes, --model NAME its layers."
)


def table(models: Sequence[Model]) -> Lines:
    rows = [Row(cells=tuple(map(Text, _row(model)))) for model in models]
    return Lines(Grid(COLUMNS, rows), Text(), Text(NOTE, "dim"))


def _row(model: Model) -> tuple[str, ...]:
    mixers = dict.fromkeys(layer.mixer.variant for layer in model.kinds if layer.mixer is not None)
    return (
        model.name,
        model.family,
        str(len(model.layers)),
        str(model.dim),
        units.count(model.parameters),
        units.length(model.context) if model.context else "",
        ", ".join(mixers),
    )


def as_json(models: Sequence[Model]) -> str:
    """One JSON document."""
    presets = tuple(
        Preset(
            name=model.name, family=model.family, layers=len(model.layers), dim=model.dim,
            parameters=model.parameters, context=model.context,
        )
        for model in models
    )  # fmt: skip
    return kinds.text(Presets(presets=presets))
