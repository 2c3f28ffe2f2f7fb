"""The lengths of a sweep, and the values on each of its axes."""

from collections.abc import Sequence
from typing import Any

from effattn_cli.errors import UsageError
from effattn_cli.plan.presets import shape_like
from effattn_cli.plan.request import Request
from effattn_cli.ranges import integer, lengths
from effattn_cli.setting import AXES, USUAL, flag

WIDTHS = ("dim", "heads", "head_dim", "kv_heads")


def axes_of(request: Request, cores: int) -> dict[str, Sequence[Any]]:
    """The values on each axis: those given, those of a model, or the usual one."""
    axes: dict[str, Sequence[Any]] = {name: (value,) for name, value in USUAL.values().items()}
    axes |= {"threads": (cores,), "device": ("auto",)}
    if request.like is not None:
        shape = shape_like(request.like)
        for name in WIDTHS:
            axes[name] = (getattr(shape, name),)
        if shape.kv_heads == shape.heads:  # the model shares none: a variant has what it prefers
            axes["kv_heads"] = (None,)
    for name, text in request.axes.items():
        axes[name] = AXES[name].read(text, flag(name))
    return axes


def tokens_of(request: Request) -> int | None:
    """The tokens of every batch, where they are given."""
    if request.tokens is None:
        return None
    if "batch" in request.axes:
        hint = "with --tokens the batch is tokens / length"
        raise UsageError("--batch and --tokens exclude one another", hint)
    return integer(request.tokens, "--tokens")


def lengths_that_fit(text: str, tokens: int | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The lengths that a batch of `tokens` has room for, and a note of the others."""
    seqs = lengths(text)
    fit = tuple(seq for seq in seqs if tokens is None or seq <= tokens)
    if not fit:
        raise UsageError(f"--tokens: {tokens} is below the shortest length, {seqs[0]}")
    longer = seqs[len(fit) :]
    if not longer:
        return fit, ()
    named = ", ".join(map(str, longer[:5])) + (", ..." if longer[5:] else "")
    return fit, (f"lengths above --tokens {tokens} are left out: {named}",)
