"""The list of saved and reference profiles, and of evaluations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from effattn_cli import units
from effattn_cli.machine import Machine
from effattn_cli.report.documents import kinds
from effattn_cli.report.documents.catalogs import Entry, Profiles

NAMED = 6  # variants of a profile that are told by name
#: Of each kind of file: what is said where none is saved; nothing where nobody misses it.
NONE = {"profile": "No profile is saved yet. To make one: effattn profile -v linformer -s 1k..16k"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelf:
    """The files of one kind, saved ones in the order given, the first being @1."""

    noun: str  # "profile"
    saved: Sequence[Entry]
    references: Sequence[Entry]
    hidden: int = 0  # saved ones that are not shown


def listing(shelves: Sequence[Shelf]) -> Group:
    """Of each kind the saved files, then those that are shipped; headings from the second on."""
    shown: list[RenderableType] = []
    for number, shelf in enumerate(shelves):
        lines = list(_shelf(shelf))
        if number and lines:
            shown += [Text(), Text(f"{shelf.noun.capitalize()}s", "bold")]
        shown += lines
    return Group(*shown)


def _shelf(shelf: Shelf) -> Iterator[RenderableType]:
    if not shelf.saved and shelf.noun in NONE:
        yield Text(NONE[shelf.noun])
    for number, line in enumerate(shelf.saved, 1):
        yield from _lines(line, f"@{number}" if line.heading else "!")
    if shelf.hidden:
        yield Text(f"and {shelf.hidden} more: --all shows them", "dim")
    for line in shelf.references:
        yield from _lines(line, "" if line.heading else "!")


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
    first, more = head.variants[:NAMED], len(head.variants) - NAMED
    names = units.clean(", ".join(first)) + (f" and {more} more" if more > 0 else "")
    return f"{head.when:%Y-%m-%d %H:%M %Z}; {machine(head.machine)}; {cells}{end}: {names}"


def machine(here: Machine) -> str:
    """The accelerator where there is one, else the CPU and its cores."""
    cores = "1 core" if here.cores == 1 else f"{here.cores} cores"
    return units.clean(here.accelerator or f"{here.cpu}, {cores}")


def as_json(shelves: Sequence[Shelf]) -> str:
    """Of each kind, the saved files and then those that are shipped."""
    lists = {f"{shelf.noun}s": (*shelf.saved, *shelf.references) for shelf in shelves}
    return kinds.text(Profiles(**lists))
