"""`effattn crossover`: from which length on each variant beats exact attention."""

from typing import Annotated

import typer

from effattn_cli.commands import options as o
from effattn_cli.commands.completion import profile_names

_CHART = typer.Option("--chart/--no-chart", help="Draw the curves.")


def crossover(
    profile: Annotated[
        str | None,
        typer.Argument(help="A file or a name; or give --variant.", autocompletion=profile_names),
    ] = None,
    variant: o.Variant = None,
    seq: o.Seq = None,
    batch: o.Batch = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    threads: o.Threads = None,
    phase: o.Phase = None,
    scope: o.Scope = None,
    causal: o.Causal = None,
    padding: o.Padding = None,
    baseline: o.Baseline = None,
    plugin: o.Plugin = None,
    dim: o.Dim = None,
    heads: o.Heads = None,
    time_limit: o.TimeLimit = None,
    time_budget: o.TimeBudget = None,
    memory_limit: o.MemoryLimit = None,
    rounds: o.Rounds = None,
    seed: o.Seed = None,
    out: o.Out = None,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    chart: Annotated[bool | None, _CHART] = None,
) -> None:
    """Find the length from which on each variant beats exact attention, saved or measured now."""
    asked = locals()
    from effattn_cli.commands.crossing import run

    raise typer.Exit(run(asked))
