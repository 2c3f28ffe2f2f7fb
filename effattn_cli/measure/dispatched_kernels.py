"""Which kernels really ran, and a warning if they are not the expected ones."""

from collections.abc import Iterable, Sequence
from typing import Any

from effattn_cli import engines
from effattn_cli.records import Cell

#: Parts of kernel names that show which code computed attention.
TELLING = ("scaled_dot_product", "flash", "efficient_attention", "fmha", "cudnn_attention")
MATH = "_scaled_dot_product_attention_math"


def kernels(events: Iterable[Any]) -> tuple[str, ...]:
    """The dispatched kernels that computed attention: innermost names, without duplicates."""
    names = {event.name().removeprefix("aten::") for event in events}
    dispatched = sorted(name for name in names if any(word in name.lower() for word in TELLING))
    inner = [name for name in dispatched if name.startswith("_") or "::" in name]
    return tuple(name[:120] for name in inner or dispatched)


def warnings(cell: Cell, ran: Sequence[str]) -> tuple[str, ...]:
    """What a reader of the numbers should know: a fallback, a graph break."""
    lines = []
    if any(MATH in name for name in ran) and cell.options.get("backend") != "math":
        lines.append(
            "no fused SDPA kernel supports this input: the math backend ran, which holds all scores"
        )
    return (*lines, *engines.load(cell.setting.engine).warnings())
