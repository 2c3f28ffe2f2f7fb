"""What several views say in the same words: settings, reasons, values with their marks."""

import math
from collections.abc import Iterable

from effattn_cli import units
from effattn_cli.analysis.crossover import crossing
from effattn_cli.analysis.crossover.crossing import is_predicted
from effattn_cli.analysis.reliability import half_width
from effattn_cli.metrics import Metric
from effattn_cli.records import Cell, Failure, Reason, Record
from effattn_cli.report.metric_words import TOLD

REASONS: dict[Reason, str] = {
    "unsupported": "not supported",
    "out-of-memory": "out of memory",
    "timeout": "over the time limit",
    "crashed": "crashed",
    "raised": "raised an error",
    "not-finite": "gave values that are not finite",
    "wrong-shape": "gave a result of the wrong shape",
    "too-costly": "not started",
}


def setting(shape: Cell) -> dict[str, str]:
    """What a table holds constant, axis by axis, in the order in which it is told."""
    heads = f"{shape.heads} heads"
    heads += f" of {shape.head_dim}" if shape.head_dim else ""
    heads += f" ({shape.kv_heads} for keys and values)" if shape.kv_heads else ""
    return {
        "phase": shape.phase,
        "scope": shape.scope,
        "causal": "causal" if shape.causal else "not causal",
        "padding": f"{100 * shape.padding:.3g} % padding" if shape.padding else "no padding",
        "dim": f"dim {shape.dim}",
        "heads": heads,
        "batch": f"batch {shape.batch}" if shape.batch else "batch by length",
        "dtype": shape.dtype,
        "compile": "compiled" if shape.compile else "eager",
        "alloc": f"{shape.alloc} heap",
        "cache": f"{shape.cache} cache",
        "device": units.clean(shape.device),
        "threads": units.number(shape.threads, "thread"),
    }


def title(shape: Cell) -> str:
    """The setting in one line; what is as usual in the last few axes goes without saying."""
    usual = {"no padding", "eager", "retained heap", "warm cache"}
    return ", ".join(text for text in setting(shape).values() if text not in usual)


def apart(shape: Cell, shapes: Iterable[Cell]) -> str:
    """What sets a setting apart from the others: `train, causal`; nothing where it is alone."""
    settings = [setting(other) for other in shapes]
    mine = setting(shape)
    return ", ".join(mine[axis] for axis in mine if len({each[axis] for each in settings}) > 1)


#: The axes of a setting that a sweep is told with a value, and their options.
OPTIONS = {
    "batch": "-b", "device": "-d", "phase": "--phase", "dtype": "--dtype", "scope": "--scope",
    "dim": "--dim", "heads": "--heads", "kv_heads": "--kv-heads", "head_dim": "--head-dim",
    "padding": "--padding", "alloc": "--alloc", "cache": "--cache",
}  # fmt: skip


def measuring(label: str, seq: int, shape: Cell) -> str:
    """The command that measures a variant at a length in this setting."""
    usual = Cell(variant="", seq=0)
    words = [
        f"{option} {getattr(shape, axis)}"
        for axis, option in OPTIONS.items()
        if getattr(shape, axis) != getattr(usual, axis)
    ]
    words += [f"--threads {shape.threads}"] if shape.device == "cpu" else []
    words += ["--causal"] if shape.causal and shape.phase != "decode" else []
    words += ["--compile"] if shape.compile else []
    return " ".join(["effattn profile -v", units.clean(label), "-s", str(seq), *words])


def reason(failure: Failure, joint: str = ": ") -> str:
    """`out of memory: would need 41 GiB`, in one line."""
    message = units.clean(failure.message).strip()
    return joint.join([REASONS[failure.reason], *([message] if message else [])])


def value(record: Record, metric: Metric) -> str:
    """`1.23 ms` or `3.1 MiB`, with `~` where it is predicted; nothing where there is none."""
    amount = crossing.value(record, metric)
    if amount is None:
        return ""
    text = TOLD[metric].scale(amount)
    return f"~{text}" if is_predicted(record, metric) else text


def plus_minus(record: Record) -> str:
    """`±2 %`: rounded up, so that it never says less than is unknown."""
    half = half_width(record)
    return "" if half is None else f"±{math.ceil(round(100 * half, 6)) or 1} %"
