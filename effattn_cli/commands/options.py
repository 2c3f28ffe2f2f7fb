"""The options of `effattn profile`: names, help and completion, one alias each."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from effattn_cli.commands.completion import presets, profile_names, variant_names

SWEEP, SHAPE, LIMITS, OUTPUT = "What to sweep", "Shapes", "Limits and sampling", "Output"


METAVARS = {
    "VARIANT": "NAME", "SEQ": "RANGE", "BATCH": "RANGE", "THREADS": "RANGE", "TOKENS": "N",
    "DIM": "N", "HEADS": "N", "KV-HEADS": "N", "HEAD-DIM": "N", "ROUNDS": "N", "SEED": "N",
    "PADDING": "SHARE", "PRECISION": "SHARE", "PLUGIN": "PATH", "CONFIG": "FILE", "OUT": "FILE",
    "RESUME": "FILE", "TIME-LIMIT": "TIME", "TIME-BUDGET": "TIME", "MEMORY-LIMIT": "SIZE",
    "LIKE": "MODEL", "FAMILY": "NAME", "BASELINE": "NAME", "ALLOC": "HEAP", "CACHE": "STATE",
}  # fmt: skip

FLAGS = {"FORCE", "JSON", "DRY-RUN", "QUIET"}


def _of(panel: str, *names: str, text: str, default: str | None = None, **more: Any) -> Any:
    """An option; `default` is shown, while the value None says that it was not given."""
    word = names[0].lstrip("-").upper()
    flag = "/" in word or word in FLAGS
    return typer.Option(
        *names,
        help=f"{text} [dim]\\[{default}][/]" if default else text,
        show_default=False,
        metavar=" " if flag else METAVARS.get(word, word),
        rich_help_panel=panel,
        **more,
    )


_VARIANT = (
    "Name, glob, `family:kernel`, `survey`, `all`, `!name`; options inline:"
    " `linformer:rank=64,128`. Repeat, or separate by commas."
)
_SEQ = "Lengths: `1k..64k` doubles; also `1k,3k`, `1k..4k:+512`, `1k..1M:x4`, `1k..64k:/5`."
_SCOPE = "core: q, k, v to output; layer: and projections; block: and feed-forward."
_PHASE = "forward, train (forward and backward), decode (the last token of that context)."
_PRECISION = "Sampling stops at this half width of the median's 95 % interval."
_PRECISE = "To see changes of 5 %: 10 rounds, a precision of 1 %. Takes three times as long."
_ALLOC = "CPU heap: `retained` keeps freed memory, `default` is the system's way."
_CACHE = "warm, or cold: a GPU's L2 is overwritten before each call."

Variant = Annotated[
    list[str] | None,
    _of(SWEEP, "--variant", "-v", text=_VARIANT, autocompletion=variant_names),
]
Family = Annotated[
    list[str] | None, _of(SWEEP, "--family", text="All variants of a family, as `kernel`.")
]
Seq = Annotated[str | None, _of(SWEEP, "--seq", "-s", text=_SEQ, default="1k..16k")]
Batch = Annotated[str | None, _of(SWEEP, "--batch", "-b", text="Batch sizes.", default="1")]
Tokens = Annotated[
    str | None, _of(SWEEP, "--tokens", text="Constant tokens: the batch is tokens / seq.")
]
Device = Annotated[
    str | None, _of(SWEEP, "--device", "-d", text="auto, cpu, cuda:0, ...", default="auto")
]
Dtype = Annotated[
    str | None,
    _of(SWEEP, "--dtype", text="float32, bfloat16, float16, float64.", default="float32"),
]
Threads = Annotated[str | None, _of(SWEEP, "--threads", text="CPU threads.", default="all cores")]
Phase = Annotated[str | None, _of(SWEEP, "--phase", text=_PHASE, default="forward")]
Scope = Annotated[str | None, _of(SWEEP, "--scope", text=_SCOPE, default="core")]
Causal = Annotated[
    bool | None, _of(SWEEP, "--causal/--no-causal", text="Causal mask.", default="no-causal")
]
Padding = Annotated[
    str | None, _of(SWEEP, "--padding", text="Padded share of each sequence.", default="0")
]
Compile = Annotated[
    bool | None,
    _of(SWEEP, "--compile/--no-compile", text="Under torch.compile.", default="no-compile"),
]
Alloc = Annotated[
    Literal["retained", "default"] | None, _of(SWEEP, "--alloc", text=_ALLOC, default="retained")
]
Cache = Annotated[str | None, _of(SWEEP, "--cache", text=_CACHE, default="warm")]
Baseline = Annotated[
    str | None,
    _of(
        SWEEP,
        "--baseline",
        text="What the others are compared with, or `none`.",
        default="sdpa",
        autocompletion=variant_names,
    ),
]
Plugin = Annotated[
    list[str] | None, _of(SWEEP, "--plugin", text="A file or folder with variants of your own.")
]
Dim = Annotated[int | None, _of(SHAPE, "--dim", text="Model width.", default="512")]
Heads = Annotated[int | None, _of(SHAPE, "--heads", text="Query heads.", default="8")]
KvHeads = Annotated[
    int | None, _of(SHAPE, "--kv-heads", text="Key-value heads.", default="as heads")
]
HeadDim = Annotated[int | None, _of(SHAPE, "--head-dim", text="Head width.", default="dim / heads")]
Like = Annotated[
    str | None,
    _of(
        SHAPE,
        "--like",
        text="Shapes of a known model, or of a Hugging Face `config.json`.",
        autocompletion=presets,
    ),
]
TimeLimit = Annotated[
    str | None,
    _of(
        LIMITS,
        "--time-limit",
        text="For a cell; one that needs more is predicted.",
        default="40s",
    ),
]
TimeBudget = Annotated[str | None, _of(LIMITS, "--time-budget", text="For the whole sweep.")]
MemoryLimit = Annotated[
    str | None,
    _of(LIMITS, "--memory-limit", text="For a cell, as `8GiB`.", default="80 % of what is free"),
]
Precise = Annotated[
    bool | None,
    _of(LIMITS, "--precise/--no-precise", text=_PRECISE, default="no-precise"),
]
Rounds = Annotated[
    int | None, _of(LIMITS, "--rounds", text="Fresh processes for each cell.", default="3")
]
Precision = Annotated[str | None, _of(LIMITS, "--precision", text=_PRECISION, default="2%")]
Seed = Annotated[
    int | None, _of(LIMITS, "--seed", text="Of the inputs and the order.", default="0")
]
Config = Annotated[Path | None, _of(OUTPUT, "--config", text="These options in a YAML file.")]
Out = Annotated[
    Path | None, _of(OUTPUT, "--out", "-o", text="The profile.", default="in your data folder")
]
Force = Annotated[bool, _of(OUTPUT, "--force", text="Replace the profile if it is there.")]
Resume = Annotated[
    str | None,
    _of(
        OUTPUT,
        "--resume",
        text="Finish the sweep of this profile: a file, a name, @1.",
        autocompletion=profile_names,
    ),
]
Json = Annotated[bool, _of(OUTPUT, "--json", text="Print the profile as one JSON document.")]
DryRun = Annotated[bool, _of(OUTPUT, "--dry-run", text="Show the plan; run no variant.")]
Quiet = Annotated[bool, _of(OUTPUT, "--quiet", "-q", text="No progress.")]
