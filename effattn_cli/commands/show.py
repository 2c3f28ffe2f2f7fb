"""`effattn show`: a saved profile again."""

from typing import Annotated

import typer

from effattn_cli.commands.complete import profile_names


def show(
    profile: Annotated[
        str, typer.Argument(help="A file, a name, @1 (the newest).", autocompletion=profile_names)
    ],
    json: Annotated[bool, typer.Option("--json", help="Print it as one JSON document.")] = False,
    chart: Annotated[
        bool | None, typer.Option("--chart/--no-chart", help="Draw the curves.")
    ] = None,
) -> None:
    """Show the tables and findings of a saved profile."""
    from effattn_cli import store
    from effattn_cli.commands import given

    found = given.profile(profile)
    if json:
        typer.echo(store.as_json(found))
        return

    from effattn_cli.report import charts, plot
    from effattn_cli.report.console import print_profile, stdout

    console = stdout()
    print_profile(found, console)
    plot.show(charts.of_profile(found), console, asked=chart)
