"""`effattn evaluate`: what a variant is worth, beside what it costs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from effattn_cli.commands import options as o
from effattn_cli.commands.completion import evaluation_names

if TYPE_CHECKING:
    from effattn_cli.app.evaluating import Order
    from effattn_cli.app.sweep import Interrupted
    from effattn_cli.errors import Stopped
    from effattn_cli.evaluation import Evaluation

Resume = Annotated[
    str | None,
    o.output(
        "--resume",
        metavar="FILE",
        help="Go on with this evaluation: a file, a name, @1.",
        autocompletion=evaluation_names,
    ),
]
Near = Annotated[
    str,
    o.output(
        "--near",
        metavar="SHARE",
        help=f"The error of an output that a trained model can live with. {o.unless_given('5%')}",
    ),
]


@o.takes(*o.evaluation())
def evaluate(
    out: o.Out = None,
    force: o.Force = False,
    resume: Resume = None,
    near: Near = "5%",
    json: o.Json = False,
    quiet: o.Quiet = False,
    **options: Any,
) -> None:
    """Evaluate variants: fidelity to exact attention, or what tiny models learn with them."""
    from effattn_cli import store
    from effattn_cli.app.evaluating import Order
    from effattn_cli.app.sweep import Interrupted
    from effattn_cli.quantities import parse_share
    from effattn_cli.report.console import stdout
    from effattn_cli.report.evaluation import ability_view, fidelity_view

    limit = parse_share(near, "--near")
    order = Order(flags=o.given(options), out=out, resume=resume, force=force)
    try:
        evaluation = _evaluated(order, quiet=quiet)
    except Interrupted as stopped:
        raise _how_to_go_on(stopped, order) from None
    if json:
        typer.echo(store.as_json(evaluation))
    else:
        stdout().print(fidelity_view.view(evaluation, limit))
        stdout().print(ability_view.view(evaluation))
    raise typer.Exit(_exit_code(evaluation))


def _evaluated(order: "Order", *, quiet: bool) -> "Evaluation":
    from functools import partial

    from effattn_cli.app import evaluating, sweep
    from effattn_cli.commands.notes import note, told
    from effattn_cli.report.console import stderr
    from effattn_cli.report.evaluation import progress
    from effattn_cli.run.fork_server import ForkServer

    console = stderr(quiet=quiet)
    sweep.interruptible()
    with ForkServer() as server:
        wanted, before = evaluating.prepared(order, server, note)
        with evaluating.destination(order, wanted, before) as path:
            watch = partial(progress.tell, console=console)
            evaluation = evaluating.evaluated(order, wanted, path, server, watch)
    told(f"saved: {path}")
    return evaluation


def _exit_code(evaluation: "Evaluation") -> int:
    from effattn_cli.commands import exit_codes

    compared = [one for record in evaluation.records for one in record.fidelity]
    trained = [run for record in evaluation.records for one in record.ability for run in one.runs]
    failures = [*(one.failure for one in compared), *(run.failure for run in trained)]
    is_there = any(one.errors for one in compared) or any(run.accuracies for run in trained)
    return exit_codes.of(failures, measured=is_there)


def _how_to_go_on(stopped: "Interrupted", order: "Order") -> "Stopped":
    import shlex

    from effattn_cli.errors import Stopped

    again = ["effattn", "evaluate", "--resume", str(stopped.path)]
    again += [word for plugin in order.request.plugin for word in ("--plugin", plugin)]
    said = "interrupted; what was found out is saved"
    return Stopped(said, f"{shlex.join(again)} goes on from here")
