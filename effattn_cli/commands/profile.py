"""`effattn profile`: measure a sweep, save it, say what it means."""

import typer

from effattn_cli.commands import options as o


def profile(
    variant: o.Variant = None,
    family: o.Family = None,
    seq: o.Seq = None,
    batch: o.Batch = None,
    tokens: o.Tokens = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    threads: o.Threads = None,
    phase: o.Phase = None,
    scope: o.Scope = None,
    causal: o.Causal = None,
    padding: o.Padding = None,
    compile: o.Compile = None,
    alloc: o.Alloc = None,
    cache: o.Cache = None,
    baseline: o.Baseline = None,
    plugin: o.Plugin = None,
    dim: o.Dim = None,
    heads: o.Heads = None,
    kv_heads: o.KvHeads = None,
    head_dim: o.HeadDim = None,
    like: o.Like = None,
    time_limit: o.TimeLimit = None,
    time_budget: o.TimeBudget = None,
    memory_limit: o.MemoryLimit = None,
    precise: o.Precise = None,
    rounds: o.Rounds = None,
    precision: o.Precision = None,
    seed: o.Seed = None,
    config: o.Config = None,
    out: o.Out = None,
    force: o.Force = False,
    resume: o.Resume = None,
    json: o.Json = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
) -> None:
    """Measure attention variants over lengths, batch sizes and devices."""
    asked = locals()
    families = [f"family:{name}" for name in asked.pop("family") or []]
    asked["variant"] = [*(variant or []), *families] or None
    from effattn_cli.app.sweep import Wishes, run

    raise typer.Exit(run(Wishes.of(asked)))
