"""`effattn choose`: which variant to deploy within a budget, from saved profiles."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from effattn_cli.commands.completion import profile_names

WHAT, BUDGET, ANSWER = "What is asked for", "Budget", "Answer"
_PROFILES = "Files or names. Without them: the newest that have such cells."
_SEQ = "Tokens, as `32k`, or a range. Without it: the longest context that fits."
_LATENCY = "For a call: `50ms` for the median, `p95<=50ms` for a percentile."
_MEMORY = "A call's peak beyond inputs and weights, and what decoding keeps."
_CONFIDENCE = "The least chance to keep each limit, from 0.5 (the expected value) to 0.99."
_PREFER = "quality, speed, memory: the order of what fits, after exact attention."


def _of(panel: str, *names: str, text: str, metavar: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=panel, **more)


Profiles = Annotated[list[str] | None, typer.Argument(help=_PROFILES, autocompletion=profile_names)]
Seq = Annotated[str | None, _of(WHAT, "--seq", "-s", text=_SEQ, metavar="RANGE")]
Batch = Annotated[int | None, _of(WHAT, "--batch", "-b", text="Sequences.", metavar="N", min=1)]
Phase = Annotated[
    Literal["forward", "train", "decode"] | None,
    _of(WHAT, "--phase", text="forward, train, decode.", metavar="WORD"),
]
Device = Annotated[
    str | None, _of(WHAT, "--device", "-d", text="cpu, cuda, cuda:0, ...", metavar="WORD")
]
Dtype = Annotated[str | None, _of(WHAT, "--dtype", text="float32, bfloat16, ...", metavar="WORD")]
Scope = Annotated[
    Literal["core", "layer", "block"] | None,
    _of(WHAT, "--scope", text="core, layer, block.", metavar="WORD"),
]
Threads = Annotated[int | None, _of(WHAT, "--threads", text="CPU threads.", metavar="N", min=1)]
Dim = Annotated[int | None, _of(WHAT, "--dim", text="Model width.", metavar="N", min=1)]
Heads = Annotated[int | None, _of(WHAT, "--heads", text="Query heads.", metavar="N", min=1)]
KvHeads = Annotated[int | None, _of(WHAT, "--kv-heads", text="KV heads.", metavar="N", min=1)]
HeadDim = Annotated[int | None, _of(WHAT, "--head-dim", text="Head width.", metavar="N", min=1)]
Compile = Annotated[bool | None, _of(WHAT, "--compile/--no-compile", text="Under torch.compile.")]
Alloc = Annotated[
    Literal["retained", "default"] | None,
    _of(WHAT, "--alloc", text="retained, default: the heap.", metavar="WORD"),
]
Cache = Annotated[
    Literal["warm", "cold"] | None, _of(WHAT, "--cache", text="warm, cold.", metavar="WORD")
]
Causal = Annotated[bool, _of(WHAT, "--causal", text="It must be causal.")]
Padding = Annotated[bool, _of(WHAT, "--padding", text="It must take padding.")]
Exact = Annotated[bool, _of(WHAT, "--exact", text="It must be exact attention.")]
Latency = Annotated[str | None, _of(BUDGET, "--latency", text=_LATENCY, metavar="TIME")]
Memory = Annotated[str | None, _of(BUDGET, "--memory", text=_MEMORY, metavar="SIZE")]
Energy = Annotated[str | None, _of(BUDGET, "--energy", text="For a call.", metavar="JOULES")]
Confidence = Annotated[str, _of(BUDGET, "--confidence", text=_CONFIDENCE, metavar="SHARE")]
Prefer = Annotated[
    Literal["quality", "speed", "memory"], _of(ANSWER, "--prefer", text=_PREFER, metavar="WORD")
]
Explain = Annotated[bool, _of(ANSWER, "--explain", text="How each number came about.")]
Chart = Annotated[bool | None, _of(ANSWER, "--chart/--no-chart", text="Draw the curves.")]
Emit = Annotated[
    Path | None, _of(ANSWER, "--emit", text="Write a policy for a service.", metavar="FILE")
]
Force = Annotated[bool, _of(ANSWER, "--force", text="Replace the policy if it is there.")]
Json = Annotated[bool, _of(ANSWER, "--json", text="Print one JSON document.")]


def choose(
    profiles: Profiles = None,
    seq: Seq = None,
    batch: Batch = None,
    phase: Phase = None,
    device: Device = None,
    dtype: Dtype = None,
    scope: Scope = None,
    threads: Threads = None,
    dim: Dim = None,
    heads: Heads = None,
    kv_heads: KvHeads = None,
    head_dim: HeadDim = None,
    compile: Compile = None,
    alloc: Alloc = None,
    cache: Cache = None,
    causal: Causal = False,
    padding: Padding = False,
    exact: Exact = False,
    latency: Latency = None,
    memory: Memory = None,
    energy: Energy = None,
    confidence: Confidence = "50%",
    prefer: Prefer = "quality",
    explain: Explain = False,
    chart: Chart = None,
    emit: Emit = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Recommend the variant to deploy within a latency, memory or energy budget."""
    asked = locals()
    from effattn_cli.app.choice_query import Wishes
    from effattn_cli.commands.choosing import run

    raise typer.Exit(run(Wishes(**asked)))
