"""The kinds of documents in a table."""

from rich.console import Group, RenderableType
from rich.text import Text

from effattn_cli.report.documents.catalogs import Kinds
from effattn_cli.report.layout import Column, Grid, Row

COLUMNS = (
    Column(title="kind"),
    Column(title="version", right=True),
    Column(title="printed by", folds=1),
)
NOTE = "effattn schema KIND prints the JSON Schema of a kind."


def listing(document: Kinds) -> RenderableType:
    """A row for each kind: its name, its version, and the commands that print it."""
    rows = [
        Row(cells=(Text(one.kind), Text(str(one.version)), Text(", ".join(one.commands))))
        for one in document.kinds
    ]
    return Group(Grid(COLUMNS, rows), Text(), Text(NOTE, "dim"))
