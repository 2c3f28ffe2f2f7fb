"""`effattn variants`: the catalogue, or one card."""

from pathlib import Path
from typing import Annotated

import typer

from effattn_cli.commands.complete import variant_names


def variants(
    name: Annotated[
        str | None, typer.Argument(help="Show this card in full.", autocompletion=variant_names)
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Only the names, one a line.")] = False,
    plugin: Annotated[
        list[str] | None, typer.Option("--plugin", help="A file or folder with variants.")
    ] = None,
) -> None:
    """List the attention variants, or show the card of one."""
    from effattn_cli.catalog import BrokenPlugin, Catalog

    catalog = Catalog([Path(item) for item in plugin or []])
    if names:
        typer.echo("\n".join(catalog.names()))
        return
    from rich.console import Console

    from effattn_cli.report import cards

    if name is not None:
        Console().print(cards.card(catalog.variant(name)))
        return
    found, broken = [], {}
    for known in catalog.names():
        try:
            found.append(catalog.variant(known))
        except BrokenPlugin as error:
            broken[known] = str(error)
    Console().print(cards.listing(found, broken))
