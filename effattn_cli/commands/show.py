"""`effattn show`: a saved profile again."""

from pathlib import Path
from typing import Annotated

import typer


def show(
    profile: Annotated[Path, typer.Argument(help="A profile that `effattn profile` saved.")],
    json: Annotated[bool, typer.Option("--json", help="Print it as one JSON document.")] = False,
) -> None:
    """Show the tables and findings of a saved profile."""
    from effattn_cli import store

    found = store.read(profile)
    if json:
        typer.echo(store.as_json(found))
        return
    from effattn_cli.commands.sweep import print_profile

    print_profile(found)
