"""`effattn profiles`: what has been saved, and what is shipped."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from effattn_cli.commands import options as o

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from effattn_cli.report.catalog.profile_list import Shelf
    from effattn_cli.report.documents.catalogs import Entry
    from effattn_cli.store import Format

SHOWN = 20  # saved files of a kind, unless all are asked for


def profiles(
    all: Annotated[bool, typer.Option("--all", help="Show older ones, too.")] = False,
    json: o.Json = False,
) -> None:
    """List the saved profiles and evaluations, the newest first, and those that are shipped."""
    from effattn_cli import store
    from effattn_cli.report.catalog import profile_list
    from effattn_cli.report.console import stdout

    lists = [_list(form, everything=all or json) for form in (store.PROFILE, store.EVALUATION)]
    if json:
        typer.echo(profile_list.as_json(lists))
    else:
        stdout().print(profile_list.listing(lists))


def _list(form: "Format[Any]", *, everything: bool) -> "Shelf":
    from effattn_cli import library
    from effattn_cli.report.catalog.profile_list import Shelf

    saved = library.newest(form) | library.saved(form)  # those that are broken come last
    shown = dict(islice(saved.items(), None if everything else SHOWN))
    return Shelf(
        noun=form.noun,
        saved=_lines(shown, form),
        references=_lines(library.references(form), form),
        hidden=len(saved) - len(shown),
    )


def _lines(paths: "Mapping[str, Path]", form: "Format[Any]") -> "list[Entry]":
    from effattn_cli import store
    from effattn_cli.errors import UsageError
    from effattn_cli.report.documents.catalogs import Entry

    lines = []
    for name, path in paths.items():
        try:
            lines.append(Entry(name=name, path=str(path), heading=store.heading(path, form)))
        except UsageError as error:
            lines.append(Entry(name=name, path=str(path), broken=str(error)))
    return lines
