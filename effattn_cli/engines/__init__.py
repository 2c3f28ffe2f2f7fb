"""What runs a module: each engine is a file of this package, of the name that `--engine` takes.

An engine is a module with these names; it imports what it needs when it is asked to prepare:

    PREPARING        seconds beyond the time limit that it may take to prepare
    RUNS_EAGERLY     whether the operators that run are those that are counted
    prepare(run)     what to call in the place of `run`, a function of tensors
    warnings()       what a reader of the numbers has to know, after the calls
"""

import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from torch import Tensor


class Engine(Protocol):
    PREPARING: float
    RUNS_EAGERLY: bool

    def prepare(self, run: "Callable[..., Tensor]") -> "Callable[..., Tensor]": ...

    def warnings(self) -> Iterator[str]: ...


def load(name: str) -> Engine:
    """The engine of that name, which is one of `setting.Engine`."""
    return cast("Engine", importlib.import_module(f"{__name__}.{name}"))
