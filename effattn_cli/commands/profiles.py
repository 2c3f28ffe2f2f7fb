"""`effattn profiles`: what has been saved, and what is shipped."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from effattn_cli.report.documents.catalogs import Entry

SHOWN = 20  # saved profiles, unless all are asked for


def profiles(
    all: Annotated[bool, typer.Option("--all", help="The old ones too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the saved profiles, the newest first, and the reference profiles."""
    from effattn_cli import library
    from effattn_cli.report.catalog import profile_list
    from effattn_cli.report.console import stdout

    saved = library.newest() | library.saved()  # those that are broken come last
    shown = dict(islice(saved.items(), None if all or json else SHOWN))
    mine, references = _lines(shown), _lines(library.references())
    if json:
        typer.echo(profile_list.as_json([*mine, *references]))
        return

    stdout().print(profile_list.listing(mine, references, hidden=len(saved) - len(shown)))


def _lines(paths: "Mapping[str, Path]") -> "list[Entry]":
    from effattn_cli import store
    from effattn_cli.errors import UsageError
    from effattn_cli.report.documents.catalogs import Entry

    lines = []
    for name, path in paths.items():
        try:
            lines.append(Entry(name=name, path=str(path), heading=store.heading(path)))
        except UsageError as error:
            lines.append(Entry(name=name, path=str(path), broken=str(error)))
    return lines
