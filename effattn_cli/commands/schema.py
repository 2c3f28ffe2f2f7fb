"""`effattn schema`: the JSON Schema of what commands print under `--json`."""

from collections.abc import Iterable
from typing import Annotated

import typer


def _kinds(incomplete: str) -> Iterable[str]:
    from effattn_cli.report.documents import kinds

    return [name for name in kinds.KINDS if name.startswith(incomplete)]


def schema(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help="A kind of document, as `profile`; without it they are listed.",
            autocompletion=_kinds,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; a schema is one anyhow.")
    ] = False,
) -> None:
    """Print the JSON Schema of a kind of document, or list the kinds."""
    from effattn_cli.report.documents import kinds

    if kind is not None:
        typer.echo(kinds.schema_text(kinds.find(kind)))
    elif json:
        typer.echo(kinds.text(kinds.listed()))
    else:
        from effattn_cli.report.catalog import kinds_view
        from effattn_cli.report.console import stdout

        stdout().print(kinds_view.listing(kinds.listed()))
