"""`effattn devices`: what this hardware can do at best, measured and cached."""

from typing import Annotated

import typer

from effattn_cli.commands import options as o


def devices(
    device: Annotated[str, o.of_sweep("device", "Options")] = "auto",
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Measure again instead of using the cache.")
    ] = False,
    json: o.Json = False,
) -> None:
    """Show this machine, and the roofline that its devices reach: measured once and cached."""
    from effattn_cli import store
    from effattn_cli.app.device_rooflines import measured
    from effattn_cli.commands.notes import progress
    from effattn_cli.run.fork_server import ForkServer

    with ForkServer() as server:
        profile = measured(server, device, progress, refresh=refresh)
    if json:
        typer.echo(store.as_json(profile))
        return

    from effattn_cli.report.catalog import machine_view
    from effattn_cli.report.console import stdout

    stdout().print(machine_view.shown(profile.machine, profile.rooflines))
