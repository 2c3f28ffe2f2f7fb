"""`effattn crossover`: from which length on each variant beats exact attention."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from effattn_cli.commands import options as o

if TYPE_CHECKING:
    from effattn_cli.app.sweep import Order
    from effattn_cli.records import Profile


@o.takes(*o.sweep())
def crossover(
    profile: Annotated[
        str | None, o.profile_argument("A file or a name; or give --variant.")
    ] = None,
    out: o.Out = None,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    chart: o.ChartFlag = None,
    **options: Any,
) -> None:
    """Find the length from which on each variant beats exact attention, saved or measured now."""
    from effattn_cli.app.live_crossover import USUAL
    from effattn_cli.app.named_profiles import read
    from effattn_cli.app.sweep import Order
    from effattn_cli.commands.notes import note
    from effattn_cli.errors import UsageError
    from effattn_cli.report import charts, crossover_view, terminal_chart
    from effattn_cli.report.console import stdout

    given = o.asked(options)
    live = bool(given) or out is not None or force
    if (profile is not None) == live:
        hint = "effattn crossover PROFILE, or effattn crossover -v linformer"
        if not live:
            raise UsageError("name a saved profile, or a variant to measure", hint)
        word = next(iter(given), "out" if out is not None else "force").replace("_", "-")
        why = f"--{word} starts a new measurement and cannot filter a saved profile"
        raise UsageError(why, hint)
    if profile is not None:
        result = read(profile, note)
    else:
        result = _measured(Order(flags=USUAL | given, out=out, force=force), quiet=quiet)
    if json:
        typer.echo(crossover_view.as_json(result))
        return
    console = stdout()
    console.print(crossover_view.table(result), highlight=False)
    terminal_chart.show(charts.of_profile(result), console, asked=chart)


def _measured(order: "Order", *, quiet: bool) -> "Profile":
    from effattn_cli import store
    from effattn_cli.app import live_crossover, sweep
    from effattn_cli.commands.notes import note, told
    from effattn_cli.report.console import stderr
    from effattn_cli.report.profile.progress import Progress
    from effattn_cli.run.context import RunContext
    from effattn_cli.run.fork_server import ForkServer

    sweep.interruptible()
    with ForkServer() as server:
        wanted = sweep.planned(order, server, note)
        live_crossover.refuse_nothing_to_cross(wanted)
        with (
            sweep.destination(order, wanted) as path,
            Progress(stderr(), quiet=quiet) as progress,
        ):
            context = RunContext.of(wanted.sampling, server, store.Writer(path), progress)
            result = live_crossover.searched(wanted, context, note)
    told(f"saved: {path}")
    return result
