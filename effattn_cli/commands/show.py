"""`effattn show`: a saved profile again."""

from typing import Annotated, Any

import typer

from effattn_cli.commands import options as o


@o.takes(*o.filters(o.SHOWN), behind=o.rare_filters())
def show(
    profile: Annotated[str, o.profile_argument("A file, a name, @1 (the newest).")],
    variant: o.VariantFilter = None,
    seq: o.SeqFilter = None,
    json: o.Json = False,
    chart: o.ChartFlag = None,
    no_pager: o.NoPager = False,
    **options: Any,
) -> None:
    """Show the tables and findings of a saved profile, or of a part of it."""
    from effattn_cli import store
    from effattn_cli.app.named_profiles import read_to_show
    from effattn_cli.app.part import part_of
    from effattn_cli.commands.notes import note

    part = o.part(variant, seq, options)
    loaded = part_of(read_to_show(profile, note), part)
    if json:
        typer.echo(store.as_json(loaded))
        return

    from effattn_cli.report import charts, terminal_chart
    from effattn_cli.report.console import paged, print_profile, stdout

    console = stdout()
    with paged(console, pager=not no_pager):
        print_profile(loaded, console)
        terminal_chart.show(charts.of_profile(loaded), console, asked=chart)
