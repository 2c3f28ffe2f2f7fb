"""The options of `effattn choose`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from effattn_cli.architecture import CacheForm
from effattn_cli.architecture import Weights as Form
from effattn_cli.commands import options as o
from effattn_cli.commands.completion import evaluation_names

WHAT, BUDGET, ANSWER = "Workload", "Budget", "Answer"
MODEL = "A whole model"


def _of(panel: str, *names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=panel)


Profiles = Annotated[
    list[str] | None,
    o.profile_argument("Files or names. Default: the newest saved profiles with matching cells."),
]
Seq = Annotated[
    str | None,
    _of(WHAT, "--seq", "-s", metavar="RANGE",
        help="Tokens, as `32k`, or a range. Default: find the longest context that fits."),
]  # fmt: skip
Variants = Annotated[
    list[str] | None,
    _of(WHAT, "--variant", "-v", metavar="NAME",
        help="Only these: names, labels as `linformer:rank=64`, or `family:linear`."),
]  # fmt: skip
Keep = Annotated[
    bool,
    _of(
        WHAT,
        "--keep-weights",
        help="Only variants that take a trained model's weights: exact or lossy.",
    ),
]
Trained = Annotated[
    bool,
    _of(
        WHAT,
        "--trained",
        help="The model will be trained with it, so keeping weights does not matter.",
    ),
]
Exact = Annotated[bool, _of(WHAT, "--exact", help="Only exact attention.")]
Model = Annotated[
    str | None,
    _of(MODEL, "--model", metavar="MODEL",
        help="A whole model: a `config.json`, a folder with one, or a known model."),
]  # fmt: skip
Context = Annotated[
    str | None, _of(MODEL, "--context", "-c", metavar="N", help="Tokens of each sequence.")
]
Prefill = Annotated[
    str | None,
    _of(MODEL, "--prefill", metavar="TIME", help="Time limit for reading a prompt of that length."),
]
Rate = Annotated[
    float | None,
    _of(
        MODEL,
        "--tokens-per-second",
        metavar="N",
        help="Rate of decoding at that length, over the batch.",
    ),
]
Weights = Annotated[
    Form | None,
    _of(MODEL, "--weights", help="Data type of the layers' weights; default: the config's."),
]
Cache = Annotated[
    CacheForm | None,
    _of(MODEL, "--kv-dtype", help="Form of keys and values; default: the config's data type."),
]
Replace = Annotated[
    list[str] | None,
    _of(
        MODEL, "--replace", metavar="KIND=NAME", help="Layouts to consider: `full=gated-deltanet`."
    ),
]
Shares = Annotated[
    str | None,
    _of(
        MODEL,
        "--keep",
        metavar="SHARES",
        help="Shares of these layers that stay as they are: `1/2,1/4,0`.",
    ),
]
Latency = Annotated[
    str | None,
    _of(BUDGET, "--latency", metavar="TIME",
        help="Of a call: `50ms` (the median), or 'p95<=50ms' (quote it)."),
]  # fmt: skip
Memory = Annotated[
    str | None,
    _of(BUDGET, "--memory", metavar="SIZE",
        help="A call's peak beyond inputs and weights, and what decoding keeps."),
]  # fmt: skip
Energy = Annotated[str | None, _of(BUDGET, "--energy", metavar="JOULES", help="Of a call.")]
Confidence = Annotated[
    str,
    _of(BUDGET, "--confidence", metavar="SHARE",
        help="Required probability of meeting each limit, 0.5 to 0.99."),
]  # fmt: skip
Fidelity = Annotated[
    str | None,
    _of(BUDGET, "--fidelity", metavar="SHARE",
        help="It keeps the weights, with an error of the output of at most `5%`, say."),
]  # fmt: skip
Recall = Annotated[
    int | None,
    _of(BUDGET, "--recall", metavar="PAIRS", help="That a tiny model recalls, 90 % of them right."),
]
Evidence = Annotated[
    list[str] | None,
    typer.Option(
        "--evidence", metavar="FILE", rich_help_panel=ANSWER, autocompletion=evaluation_names,
        help="An evaluation: a file, a name, @1. Without it: the newest, and those shipped.",
    ),
]  # fmt: skip
Prefer = Annotated[
    Literal["quality", "speed", "memory"],
    _of(ANSWER, "--prefer", metavar="WORD",
        help="How to rank what fits. quality: your scores, exact attention, then evidence."),
]  # fmt: skip
All = Annotated[bool, _of(ANSWER, "--all", help="Show every candidate, and why it lost.")]
Explain = Annotated[bool, _of(ANSWER, "--explain", help="Show how each number was obtained.")]
Chart = Annotated[bool | None, _of(ANSWER, "--chart/--no-chart", help="Draw the curves.")]
Emit = Annotated[
    Path | None, _of(ANSWER, "--emit", metavar="FILE", help="Write a policy for a service.")
]
Force = Annotated[bool, _of(ANSWER, "--force", help="Replace the policy if it exists.")]
Json = Annotated[bool, _of(ANSWER, "--json", help="Print one JSON document.")]
