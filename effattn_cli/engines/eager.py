"""PyTorch as it comes: one operator after the other."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

PREPARING = 0.0
RUNS_EAGERLY = True


def prepare(run: "Callable[..., Tensor]") -> "Callable[..., Tensor]":
    return run


def warnings() -> Iterator[str]:
    yield from ()
