"""The options of `effattn choose`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from effattn_cli.commands import options as o
from effattn_cli.commands.completion import evaluation_names
from effattn_cli.commands.model_options import WHOLE, context, of_model

if TYPE_CHECKING:
    from effattn_cli.analysis.selection.evidence import Task

WHAT, BUDGET = "Workload", "Budget"


def _of(panel: str, *names: str, help: str, metavar: str = " ", **more: Any) -> Any:
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=panel, show_default=False, **more
    )


def latency(help: str) -> Any:
    return _of(BUDGET, "--latency", metavar="TIME", help=help)


def memory(help: str) -> Any:
    return _of(BUDGET, "--memory", "-m", metavar="SIZE", help=help)


def evidence(panel: str) -> Any:
    return _of(
        panel,
        "--evidence",
        metavar="FILE",
        help="An evaluation: a file, a name, @1. Repeatable."
        f" {o.unless_given('the newest, and those that are shipped')}",
        autocompletion=evaluation_names,
    )


Profiles = Annotated[
    list[str] | None,
    o.profile_argument(
        "Files, names or folders. Without them: the newest saved ones with such cells.",
        "[PROFILE]...",
    ),
]
Seq = Annotated[
    str | None,
    o.of_sweep(
        "seq", WHAT, "Tokens, as `32k`, or a range. Without it: the longest context that fits."
    ),
]
Variants = Annotated[
    list[str] | None,
    o.of_sweep(
        "variant", WHAT, "Only these: names, labels as `linformer:rank=64`, or `family:linear`."
    ),
]
Exact = Annotated[bool, _of(WHAT, "--exact", help="Only exact attention.")]
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
Latency = Annotated[
    str | None, latency("Latency of a call: `50ms` (the median), or 'p95<=50ms' (quote it).")
]
Memory = Annotated[
    str | None, memory("A call's peak beyond inputs and weights, and what decoding keeps.")
]
Energy = Annotated[str | None, _of(BUDGET, "--energy", metavar="JOULES", help="Energy of a call.")]
Fidelity = Annotated[
    str | None,
    _of(BUDGET, "--fidelity", metavar="SHARE",
        help="Largest error of the output with a model's own weights, as `5%`."),
]  # fmt: skip
Recall = Annotated[
    int | None,
    _of(BUDGET, "--recall", metavar="PAIRS",
        help="Pairs that a tiny model has to recall, 90 % of them right."),
]  # fmt: skip
Update = Annotated[
    int | None,
    _of(BUDGET, "--update", metavar="PAIRS",
        help="Pairs of which a tiny model has to know the last value, 90 % of them right."),
]  # fmt: skip
Parity = Annotated[
    int | None,
    _of(BUDGET, "--parity", metavar="BITS",
        help="Bits of which a tiny model has to know the parity, in 90 % of cases."),
]  # fmt: skip
Confidence = Annotated[
    str,
    _of(BUDGET, "--confidence", metavar="SHARE",
        help="Required probability of meeting each limit, 0.5 to 0.99."
        f" {o.unless_given('90%')}"),
]  # fmt: skip
Evidence = Annotated[list[str] | None, evidence(o.OUTPUT)]
Prefer = Annotated[
    Literal["quality", "speed", "memory", "cost"] | None,
    _of(o.OUTPUT, "--prefer", metavar="WORD",
        help="How to rank what fits: quality (your scores, exact attention, then evidence), speed,"
        " memory; with --price, cost."),
]  # fmt: skip
Prices = Annotated[
    list[str] | None,
    _of(o.OUTPUT, "--price", metavar="MACHINE=PRICE",
        help="Rank by the cost of a million tokens: `h100=2.5/h` for each machine, or a file."),
]  # fmt: skip
All = Annotated[bool, _of(o.OUTPUT, "--all", help="Show every candidate, and why it lost.")]
Explain = Annotated[bool, _of(o.OUTPUT, "--explain", help="Show how each number was obtained.")]
Emit = Annotated[
    Path | None, _of(o.OUTPUT, "--emit", metavar="FILE", help="Write a policy for a service.")
]
Model = Annotated[
    str | None,
    o.of_sweep("model", WHOLE, "A `config.json`, a folder with one, or a known model."),
]
Context = Annotated[str | None, context("Tokens of each sequence, as `32k`.")]
Prefill = Annotated[
    str | None,
    of_model("--prefill", metavar="TIME", help="Time limit for reading a prompt of that length."),
]
Rate = Annotated[
    float | None,
    of_model(
        "--tokens-per-second",
        metavar="N",
        help="Lowest rate of decoding at that length, over the batch.",
    ),
]


def loads(typed: "Mapping[Task, int | None]") -> "dict[Task, int]":
    """The loads that a tiny model has to learn, of the tasks for which one was given.

    Raises:
        UsageError: no test goes so far.
    """
    from effattn_cli.errors import UsageError
    from effattn_cli.evaluate.task_specs import TASKS

    given = {task: load for task, load in typed.items() if load is not None}
    for task, load in given.items():
        most = max(TASKS[task].loads)
        if not 1 <= load <= most:
            raise UsageError(f"--{task}: {load} is out of range, from 1 to {most}")
    return given
