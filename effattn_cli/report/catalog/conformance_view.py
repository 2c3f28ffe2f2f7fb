"""What `effattn check` found: a line for each law, and a count."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from effattn_cli.app.conformance import Finding, Status
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.catalogs import Check
from effattn_cli.units import clean

MARKS: dict[Status, tuple[str, str]] = {
    "held": ("ok", "green"),
    "broken": ("BROKEN", "bold red"),
    "skipped": ("skipped", "dim"),
}
COUNTED: dict[Status, str] = {"held": "passed", "broken": "broken", "skipped": "skipped"}


def table(name: str, findings: Sequence[Finding]) -> RenderableType:
    """A line for each law; what it does wrong stands beside the law."""
    grid = Table.grid(padding=(0, 2))
    for width in (7, max(len(item.law) for item in findings)):
        grid.add_column(min_width=width, no_wrap=True)
    grid.add_column(overflow="fold")
    for item in findings:
        mark, style = MARKS[item.status]
        grid.add_row(Text(mark, style), Text(item.law), Text(clean(item.words)))
    counts = Counter(item.status for item in findings)
    summary = ", ".join(f"{counts[status]} {COUNTED[status]}" for status in MARKS if counts[status])
    return Group(grid, Text(), Text(clean(f"{name}: {summary}")))


def as_json(name: str, findings: Sequence[Finding]) -> str:
    return kinds.text(Check(variant=name, laws=tuple(findings)))
