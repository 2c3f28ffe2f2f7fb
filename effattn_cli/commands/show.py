"""`effattn show`: a saved profile again."""

from typing import Annotated, Any

import typer

from effattn_cli.commands import options as o


@o.takes(*o.filters(o.SHOWN), behind=o.rare_filters())
def show(
    profile: Annotated[str, o.profile_argument("A file, a name, @1 (the newest), a folder.")],
    variant: o.VariantFilter = None,
    seq: o.SeqFilter = None,
    json: o.Json = False,
    chart: o.ChartFlag = None,
    no_pager: o.NoPager = False,
    **options: Any,
) -> None:
    """Show the tables and findings of a saved profile, or of a part of it."""
    from effattn_cli import library, store
    from effattn_cli.app import named_profiles
    from effattn_cli.app.part import parts_of
    from effattn_cli.commands.notes import note

    part, names = o.part(variant, seq, options), library.expanded([profile])
    if json:
        names = [named_profiles.single(names, "--json")]
    loaded = parts_of({name: named_profiles.read_to_show(name, note) for name in names}, part)
    if json:
        typer.echo(store.as_json(*loaded.values()))
        return

    from effattn_cli.report import charts, terminal_chart
    from effattn_cli.report.console import paged, print_profile, stdout

    console = stdout()
    with paged(console, pager=not no_pager):
        for number, (name, saved) in enumerate(loaded.items()):
            if len(names) > 1:
                title = f"{name}\n" if not number else f"\n{name}\n"
                console.print(title, style="bold", highlight=False, markup=False)
            print_profile(saved, console)
            terminal_chart.show(charts.of_profile(saved), console, asked=chart)
