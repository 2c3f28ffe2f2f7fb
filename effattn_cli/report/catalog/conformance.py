"""What `effattn check` found: a line for each law, and a count."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from effattn_cli.records import Failure
from effattn_cli.units import clean

Status = Literal["held", "broken", "skipped"]
MARKS: dict[Status, tuple[str, str]] = {
    "held": ("ok", "green"),
    "broken": ("BROKEN", "bold red"),
    "skipped": ("skipped", "dim"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Whether a variant keeps one law."""

    law: str
    status: Status
    words: str = ""  # how it breaks the law, or why the law was skipped
    output: tuple[str, ...] = ()  # the last lines that it printed, where it failed


def finding(law: str, told: Mapping[str, Any] | Failure) -> Finding:
    """From what the law's process told."""
    if isinstance(told, Failure):
        word = {"raised": "raised ", "unsupported": "refused: "}.get(told.reason, "")
        return Finding(law=law, status="broken", words=word + told.message, output=told.output)
    if "broken" in told:
        return Finding(law=law, status="broken", words=told["broken"])
    if "skipped" in told:
        return Finding(law=law, status="skipped", words=told["skipped"])
    return Finding(law=law, status="held")


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
    told = ", ".join(f"{counts[status]} {status}" for status in MARKS if counts[status])
    return Group(grid, Text(), Text(clean(f"{name}: {told}")))


def as_json(name: str, findings: Sequence[Finding]) -> str:
    return json.dumps({"variant": name, "laws": [asdict(item) for item in findings]}, indent=2)
