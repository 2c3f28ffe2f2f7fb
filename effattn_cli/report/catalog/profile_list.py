"""The list of saved and reference profiles."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from effattn_cli import units
from effattn_cli.machine import Machine
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.catalogs import Entry, Profiles

NONE = "No profile is saved yet. To make one: effattn profile -v linformer -s 1k..16k"


def listing(saved: Sequence[Entry], references: Sequence[Entry], *, hidden: int = 0) -> Group:
    """Saved profiles in the order given, the first being @1, and the reference profiles."""
    shown: list[RenderableType] = [] if saved else [Text(NONE)]
    for number, line in enumerate(saved, 1):
        shown += _lines(line, f"@{number}" if line.heading else "!")
    if hidden:
        shown.append(Text(f"and {hidden} more: --all shows them", "dim"))
    for line in references:
        shown += _lines(line, "" if line.heading else "!")
    return Group(*shown)


def _lines(line: Entry, mark: str) -> list[RenderableType]:
    """The name on a line of its own, to be copied; what is known of it below."""
    about = (
        Text(units.clean(line.broken or ""), "red") if line.broken else Text(_about(line), "dim")
    )
    first = Text(f"{mark:5}").append(units.clean(line.name), "bold")
    return [first, Padding.indent(about, 5)]


def _about(line: Entry) -> str:
    head = line.heading
    assert head is not None  # else it is broken
    cells = units.number(head.cells, "cell")
    end = "" if head.finished else ", unfinished"
    names = units.clean(", ".join(head.variants))
    return f"{head.when:%Y-%m-%d %H:%M %Z}; {machine(head.machine)}; {cells}{end}: {names}"


def machine(here: Machine) -> str:
    """The accelerator where there is one, else the CPU and its cores."""
    cores = "1 core" if here.cores == 1 else f"{here.cores} cores"
    return units.clean(here.accelerator or f"{here.cpu}, {cores}")


def as_json(lines: Sequence[Entry]) -> str:
    return kinds.text(Profiles(profiles=tuple(lines)))
