"""Functions that some engines provide as one operator: in a graph exported for such an engine they
are called by name, and otherwise they run as written.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])
NAMESPACE = "effattn"
_marked: dict[Callable[..., Any], tuple[int, ...]] = {}
_kept = False


def operator(*indices: int) -> Callable[[Function], Function]:
    """Marks a function of tensors whose result has the shape of the argument at this index; with
    several indices, it has several results, in order.
    """

    def mark(function: Function) -> Function:
        _marked[function] = indices

        @wraps(function)
        def either(*given: Any, **more: Any) -> Any:
            return (_named(function) if _kept else function)(*given, **more)

        return either  # type: ignore[return-value]

    return mark


@contextlib.contextmanager
def kept() -> Iterator[Mapping[str, Any]]:
    """Within this context they are called by name; yields torch's operators for all of them."""
    global _kept  # noqa: PLW0603  per process, which exports one graph
    named = {function.__name__: _named(function) for function in _marked}
    _kept = True
    try:
        yield {name: getattr(getattr(torch.ops, NAMESPACE), name).default for name in named}
    finally:
        _kept = False


@cache
def _named(function: Callable[..., Any]) -> Callable[..., Any]:
    indices = _marked[function]

    def fake(*given: Tensor, **_: Any) -> Tensor | tuple[Tensor, ...]:
        made = tuple(torch.empty_like(given[index]) for index in indices)
        return made if len(made) > 1 else made[0]

    named = torch.library.custom_op(f"{NAMESPACE}::{function.__name__}", function, mutates_args=())
    named.register_fake(fake)
    return named
