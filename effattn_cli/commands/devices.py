"""`effattn devices`: what this hardware can do at best, measured and kept."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from effattn_cli.records import Profile
    from effattn_cli.run.fork_server import Launcher

DTYPES = ("float32", "bfloat16")


def devices(
    device: Annotated[
        str, typer.Option("--device", "-d", help="auto, cpu, cuda:0, ...", show_default=True)
    ] = "auto",
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Measure again what is kept from before.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show this machine, and the roofline that its devices reach: measured once, then kept."""
    from effattn_cli import store
    from effattn_cli.run.fork_server import ForkServer

    with ForkServer() as server:
        profile = _measured(server, device, refresh=refresh)
    if json:
        typer.echo(store.as_json(profile))
        return

    from effattn_cli.report.catalog import machine_view
    from effattn_cli.report.console import stdout

    stdout().print(machine_view.shown(profile.machine, profile.rooflines))


def _measured(server: "Launcher", wanted: str, *, refresh: bool) -> "Profile":
    """This machine with the rooflines of its devices, in each dtype, with one thread and all."""
    import sys
    from dataclasses import replace

    from effattn_cli.app.sweep import a_profile, machine
    from effattn_cli.run import kept_rooflines

    here, found = machine(server, wanted)
    profile = a_profile(here)
    known = () if refresh else kept_rooflines.kept(here)
    counts = {device: {1, here.cores} if device == "cpu" else {here.cores} for device in found}
    places = [(d, t, n) for d in found for t in DTYPES for n in sorted(counts[d], reverse=True)]
    missing = [p for p in places if p not in {(r.device, r.dtype, r.threads) for r in known}]
    for number, place in enumerate(missing, start=1):
        if sys.stderr.isatty():
            print(f"measuring {number} of {len(missing)}", end="\r", file=sys.stderr, flush=True)
        known = (*known, *kept_rooflines.measure(server, *place))
    return kept_rooflines.keep(profile, known) if missing else replace(profile, rooflines=known)
