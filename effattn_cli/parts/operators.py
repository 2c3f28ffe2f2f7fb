"""Functions that some engines have as one operator: while a graph is exported for such an engine
they stand in it by name, and else they are what they are.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Tensor])
NAMESPACE = "effattn"
_marked: dict[Callable[..., Tensor], int] = {}
_kept = False


def operator(place: int) -> Callable[[Function], Function]:
    """Marks a function of tensors whose result is of the shape of the argument at that place."""

    def mark(function: Function) -> Function:
        _marked[function] = place

        @wraps(function)
        def either(*given: Any, **more: Any) -> Tensor:
            made: Tensor = (_named(function) if _kept else function)(*given, **more)
            return made

        return either  # type: ignore[return-value]

    return mark


@contextlib.contextmanager
def kept() -> Iterator[Mapping[str, Any]]:
    """In this context they are called by name; gives torch's operators of all that are loaded."""
    global _kept  # noqa: PLW0603  of the whole process, which exports one graph
    named = {function.__name__: _named(function) for function in _marked}
    _kept = True
    try:
        yield {name: getattr(getattr(torch.ops, NAMESPACE), name).default for name in named}
    finally:
        _kept = False


@cache
def _named(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    name, place = f"{NAMESPACE}::{function.__name__}", _marked[function]
    named = torch.library.custom_op(name, function, mutates_args=())
    named.register_fake(lambda *given, **_: torch.empty_like(given[place]))
    return named
