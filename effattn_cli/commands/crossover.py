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
        str | None, o.profile_argument("A file or a name; or give --variant.", "[PROFILE]")
    ] = None,
    out: o.Out = None,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    chart: o.ChartFlag = None,
    no_pager: o.NoPager = False,
    **options: Any,
) -> None:
    """Find the length from which each variant beats exact attention: saved, or measured now."""
    from effattn_cli.app.live_crossover import USUAL
    from effattn_cli.app.named_profiles import read
    from effattn_cli.app.part import part_of
    from effattn_cli.app.sweep import Order
    from effattn_cli.commands.notes import note
    from effattn_cli.errors import UsageError
    from effattn_cli.report import charts, crossover_view, terminal_chart
    from effattn_cli.report.console import paged, stdout
    from effattn_cli.setting import AXES

    given = o.asked(options)
    measuring = [name for name in given if name not in (*AXES, "variant", "seq")]
    measuring += [name for name, value in {"out": out, "force": force}.items() if value]
    if profile is not None and measuring:
        why = f"--{measuring[0].replace('_', '-')} starts a new measurement"
        raise UsageError(f"{why} and cannot filter a saved profile", "leave one out")
    if profile is None and not given:
        hint = "effattn crossover PROFILE, or effattn crossover -v linformer"
        raise UsageError("name a saved profile, or a variant to measure", hint)
    if profile is not None:
        part = o.part(given.get("variant"), given.get("seq"), options)
        result = part_of(read(profile, note), part)
    else:
        result = _measured(Order(flags=USUAL | given, out=out, force=force), quiet=quiet)
    if json:
        typer.echo(crossover_view.as_json(result))
        return
    console = stdout()
    with paged(console, pager=not no_pager):
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
