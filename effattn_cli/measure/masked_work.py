"""FLOPs spent on scores that are then masked out, observed in a real call.

Blocks and bands are scored completely, and a mask hides what the mechanism does not see: such work
is executed and counted, but wasted. Which scores are hidden can depend on the data.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from effattn_cli.measure.operator_flops import is_pointwise, is_product, is_view, products
from effattn_cli.measure.traffic import tensors

SLICE = 1 << 20  # elements that are inspected together
LOW = -1e3  # added to a score: its exponential is 0 relative to any other
#: Operators that pass values on, besides the elementwise ones.
PASSES = frozenset({"cat", "clone", "_to_copy", "copy", "constant_pad_nd"})


class Masked(TorchDispatchMode):
    """Adds up the wasted `flops` of what runs inside it.

    It recognises fused attention with a mask, softmax with weights of zero, and triangles cut out
    of scores; and, before and after each of these, the products that computed the scores and those
    that use them as weights.
    """

    supports_higher_order_operators = True  # what runs inside them is not seen

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keeps calls uncompiled; otherwise the first operator imports the compiler: seconds."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self._made: dict[int, int] = {}  # by storage: FLOPs of the products that made its values
        self._hidden: dict[int, float] = {}  # by storage: the fraction of its values without weight

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if isinstance(func, HigherOrderOperator) or func.namespace == "prim" or is_view(func):
            return out
        outs = list(tensors(out))
        for first in outs[:1]:
            self._follow(func, args, kwargs, first)
        for place in map(_place, outs[1:]):  # the storage now holds something else
            self._made[place], self._hidden[place] = 0, 0.0
        return out

    def _follow(self, func: Any, args: Any, kwargs: Any, out: Tensor) -> None:
        """Adds what the operator wastes, and tracks its result."""
        name = func.overloadpacket.__name__.rstrip("_")
        given = _named(func, args, kwargs)
        mask = given.get("attn_mask", given.get("attn_bias"))
        ins = {_place(tensor) for tensor in tensors((args, kwargs))}
        made = sum(self._made.get(place, 0) for place in ins)
        hidden = max((self._hidden.get(place, 0.0) for place in ins), default=0.0)
        if isinstance(mask, Tensor):
            made = products(func, args, kwargs, out) + self._made.get(_place(mask), 0)
            self.flops += round(made * _share_low(mask))
            made, hidden = 0, 0.0
        elif is_product(func):
            made = products(func, args, kwargs, out)
            self.flops += round(made * hidden)
            hidden = 0.0
        elif (fraction := _hides(name, given, out)) is not None:
            self.flops += round(made * fraction)
            made, hidden = 0, fraction
        elif not is_pointwise(func.overloadpacket) and name not in PASSES:
            made, hidden = 0, 0.0
        self._made[_place(out)], self._hidden[_place(out)] = made, hidden


def _named(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    names = (argument.name for argument in func._schema.arguments)
    return dict(zip(names, args, strict=False)) | kwargs


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _hides(name: str, given: dict[str, Any], out: Tensor) -> float | None:
    """The fraction of scores without weight; None if the operator assigns no weights."""
    if name in {"_softmax", "_safe_softmax", "_softmax_backward_data"}:
        weights = given.get("output", out)
        return 1 - int(weights.count_nonzero()) / weights.numel()
    if name == "tril" and out.is_floating_point():
        return _above(out.shape[-2], out.shape[-1], given.get("diagonal", 0))
    return None


def _above(rows: int, columns: int, diagonal: int) -> float:
    """The fraction of a matrix above a diagonal."""
    above = sum(min(columns, max(0, columns - row - diagonal - 1)) for row in range(rows))
    return above / (rows * columns)


def _share_low(mask: Tensor) -> float:
    """The fraction that is False, or so low that a score added to it has no weight."""
    for dim, stride in enumerate(mask.stride()):
        if stride == 0:  # expanded: one of the identical entries is enough
            mask = mask.narrow(dim, 0, 1)
    if mask.dtype == torch.bool:
        return 1 - int(mask.count_nonzero()) / mask.numel()
    low = sum(int((part < LOW).count_nonzero()) for part in _slices(mask))
    return low / mask.numel()


def _slices(x: Tensor) -> Iterator[Tensor]:
    """Views of up to `SLICE` elements, so that temporaries stay small."""
    if x.numel() <= SLICE or not x.ndim:
        yield x
        return
    rows = SLICE * len(x) // x.numel()
    if rows:
        for first in range(0, len(x), rows):
            yield x[first : first + rows]
    else:
        for row in x:
            yield from _slices(row)
