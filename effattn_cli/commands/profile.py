"""`effattn profile`: measure a sweep, save it, say what it means."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from effattn_cli.commands import options as o

if TYPE_CHECKING:
    from effattn_cli.app.sweep import Interrupted, Order
    from effattn_cli.errors import Stopped
    from effattn_cli.records import Profile

Config = Annotated[
    Path | None,
    o.output(
        "--config",
        help="These options in a YAML file, or those of a saved profile.",
        metavar="FILE",
    ),
]
Resume = Annotated[
    str | None,
    o.output(
        "--resume",
        help="Finish the sweep of this profile: a file, a name, @1. -v and -s narrow it, --rounds"
        " adds rounds, --time-budget sets a new one.",
        metavar="FILE",
        autocompletion=o.profile_names,
    ),
]
Again = Annotated[
    str | None,
    o.output(
        "--again",
        help="Measure the sweep of this profile anew; -v, -s narrow it.",
        metavar="FILE",
        autocompletion=o.profile_names,
    ),
]
SaveConfig = Annotated[
    Path | None,
    o.output(
        "--save-config",
        help="Write the options of this sweep, for --config.",
        metavar="FILE",
    ),
]
Reuse = Annotated[
    bool,
    o.output(
        "--reuse",
        help="Take cells that saved profiles have from this machine, measured in the same way.",
    ),
]
ShardPart = Annotated[
    str | None,
    o.output(
        "--shard",
        help="Measure one part of the sweep, as `2/8`; effattn merge joins them.",
        metavar="PART",
    ),
]
On = Annotated[
    str | None,
    o.output(
        "--on",
        help="Measure elsewhere: `ssh:host,host`, `slurm:partition=gpu,shards=8`, `ray`.",
        metavar="TARGET",
    ),
]
DryRun = Annotated[
    bool,
    o.output(
        "--dry-run",
        help="Show the plan; run no variant.",
    ),
]


Assume = Annotated[
    str | None,
    o.output(
        "--assume",
        help="With --dry-run, a machine that is not here: `memory=24GiB,flops=80T,bandwidth=1TB`,"
        " or the machine of a profile.",
        metavar="MACHINE",
        autocompletion=o.profile_names,
    ),
]


@o.takes(*o.sweep())
def profile(
    config: Config = None,
    out: o.Out = None,
    force: o.Force = False,
    resume: Resume = None,
    again: Again = None,
    save_config: SaveConfig = None,
    reuse: Reuse = False,
    shard: ShardPart = None,
    on: On = None,
    json: o.Json = False,
    dry_run: DryRun = False,
    assume: Assume = None,
    quiet: o.Quiet = False,
    **options: Any,
) -> None:
    """Measure attention variants over lengths, batch sizes and devices."""
    from effattn_cli.app.sweep import Interrupted, Order

    order = Order(
        flags=o.asked(options), config=config, out=out, resume=resume, again=again,
        save_config=save_config, reuse=reuse, force=force, shard=shard,
    )  # fmt: skip
    if assume is not None and not dry_run:
        from effattn_cli.errors import UsageError

        raise UsageError("--assume plans for a machine that is not here", "give --dry-run, too")
    if on is not None:
        from effattn_cli.commands import profile_elsewhere

        raise typer.Exit(profile_elsewhere.run(order, on, json=json, dry_run=dry_run, quiet=quiet))
    try:
        code = (
            _planned(order, assume, json=json, quiet=quiet)
            if dry_run
            else _measured(order, json=json, quiet=quiet)
        )
    except Interrupted as stopped:
        if not json:
            _show_what_there_is(stopped)
        raise _how_to_go_on(stopped, order) from None
    raise typer.Exit(code)


def _planned(order: "Order", assume: str | None, *, json: bool, quiet: bool) -> int:
    from effattn_cli.app import preparing, sweep
    from effattn_cli.app.assumptions import assumed
    from effattn_cli.commands.notes import note
    from effattn_cli.report.console import stderr, stdout
    from effattn_cli.report.documents import kinds
    from effattn_cli.report.profile import dry_run, planning
    from effattn_cli.report.profile.progress import Progress
    from effattn_cli.run.fork_server import ForkServer

    machine = assumed(assume) if assume is not None else None
    with ForkServer() as server:
        watch = Progress(stderr(), quiet=quiet)
        if machine is None:
            ready = preparing.prepared(order, server, note)
            profile, only = ready.profile, ready.only
        else:
            planned = sweep.planned(order, server, note, elsewhere=True)
            profile, only = machine.profile(planned), None
        counted, calls = sweep.dry_run(profile, server, watch, only)
    words = machine.words if machine is not None else None
    plan = planning.planned(counted, calls, words)
    if json:
        print(kinds.text(plan))
    else:
        stdout().print(dry_run.table(counted, plan), highlight=False)
    return 0


def _measured(order: "Order", *, json: bool, quiet: bool) -> int:
    from effattn_cli import store
    from effattn_cli.app import preparing, sweep
    from effattn_cli.commands.notes import note, told
    from effattn_cli.report.console import print_profile, stderr
    from effattn_cli.report.profile.progress import Progress
    from effattn_cli.run.context import RunContext
    from effattn_cli.run.fork_server import ForkServer

    sweep.interruptible()
    with ForkServer() as server:
        ready = preparing.prepared(order, server, note)
        with (
            sweep.destination(order, ready.profile, ready.path) as path,
            Progress(stderr(), quiet=quiet) as progress,
        ):
            context = RunContext.of(ready.profile.sampling, server, store.Writer(path), progress)
            profile = sweep.measured(ready.profile, path, context, ready.only)
    if json:
        print(store.as_json(profile))
    else:
        print_profile(profile)
    told(f"saved: {path}")
    return _exit_code(profile)


def _exit_code(profile: "Profile") -> int:
    from effattn_cli.commands import exit_codes

    measured = any(record.status == "measured" for record in profile.records)
    return exit_codes.of((record.failure for record in profile.records), measured=measured)


def _show_what_there_is(stopped: "Interrupted") -> None:
    from effattn_cli import store
    from effattn_cli.report.console import print_profile

    profile = store.read(stopped.path)
    if any(record.runs for record in profile.records):
        print_profile(profile)


def _how_to_go_on(stopped: "Interrupted", order: "Order") -> "Stopped":
    import shlex

    from effattn_cli.errors import Stopped

    again = ["effattn", "profile", "--resume", str(stopped.path)]
    again += [word for plugin in order.plugins for word in ("--plugin", plugin)]
    said = "interrupted; what was measured is saved"
    return Stopped(said, f"{shlex.join(again)} goes on from here")
