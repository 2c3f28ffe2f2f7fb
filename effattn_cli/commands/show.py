"""`effattn show`: a saved profile again."""

from typing import Annotated

import typer

from effattn_cli.commands.completion import profile_names


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
    from effattn_cli.app.named_profiles import read_to_show
    from effattn_cli.commands.notes import note

    loaded = read_to_show(profile, note)
    if json:
        typer.echo(store.as_json(loaded))
        return

    from effattn_cli.report import charts, terminal_chart
    from effattn_cli.report.console import print_profile, stdout

    console = stdout()
    print_profile(loaded, console)
    terminal_chart.show(charts.of_profile(loaded), console, asked=chart)
