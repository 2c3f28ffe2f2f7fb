"""Counts FLOPs, bytes moved and live memory of a program on fake tensors, at any length.

torch's own counter covers only matrix products, counts 0 for attention on a CPU, and counts causal
attention as full. Here one dispatch mode sees every operator of the eager program. Count the eager
function, never a compiled one: under a mode it runs eagerly, and stays eager afterwards.
"""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from effattn_cli.measure.operator_flops import is_view, work
from effattn_cli.measure.traffic import moved, tensors
from effattn_cli.records import Cost

aten = torch.ops.aten

#: Reference counts of a tensor and of its storage, as seen here if nothing else holds it.
ALONE = (4, 2)


class Uncountable(Exception):
    """A program does something whose cost is unknown."""


class Counter(TorchDispatchMode):
    """Counts what runs inside it. `watch` registers tensors that already exist, at no cost."""

    supports_higher_order_operators = True  # it sees them, and reports that it cannot count them

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.matmul = self.other = self.transcendental = self.read = self.written = 0
        self.live = self.peak = self.operators = 0
        self._unknown: dict[str, None] = {}
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._sizes: dict[int, int] = {}  # of those that were created here

    @property
    def cost(self) -> Cost:
        """The counted cost.

        Raises:
            Uncountable: an operator is neither counted nor known to compute nothing.
        """
        if self._unknown:
            names = ", ".join([*self._unknown][:3])
            more = f" and {len(self._unknown) - 3} more" if len(self._unknown) > 3 else ""
            raise Uncountable(f"it calls {names}{more}, whose work is not known")
        return Cost(
            matmul_flops=self.matmul,
            other_flops=self.other,
            transcendentals=self.transcendental,
            read_bytes=self.read,
            write_bytes=self.written,
            peak_bytes=self.peak,
            operators=self.operators,
        )

    def watch(self, *tensors: Tensor) -> None:
        """Registers tensors that exist from the start: inputs, weights, state."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._alive[storage._cdata] = weakref.ref(storage)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            raise Uncountable(f"it calls {func}, whose work is not known")
        out = func(*args, **kwargs)
        if func.namespace == "prim" or is_view(func):
            return out
        self.operators += 1
        outs = list(tensors(out))  # tensors given as `out=` are arguments too, but not read
        ins = list(tensors((args, {k: v for k, v in kwargs.items() if k != "out"})))
        if _accumulates(func, args):
            self._died(args[0])
        for tensor in outs:
            self._born(tensor)
        done = work(func, args, kwargs, ins, outs)
        if done is None:
            self._unknown[func.name().partition(".")[0]] = None
        else:
            self.matmul += done.matmul
            self.other += done.other
            self.transcendental += done.transcendentals
        read, written = moved(func, args, ins, outs)
        self.read += read
        self.written += written
        return out

    def _born(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:
            return

        def died(_: Any) -> None:
            del self._alive[key]
            self.live -= self._sizes.pop(key)

        self._alive[key], self._sizes[key] = weakref.ref(storage, died), size
        self.live += size
        self.peak = max(self.peak, self.live)

    def _died(self, tensor: Tensor) -> None:
        """Its memory belongs to another tensor from now on."""
        key = tensor.untyped_storage()._cdata
        if key in self._sizes:
            self.live -= self._sizes[key]
            self._sizes[key] = 0


def _accumulates(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether autograd adds to a gradient that only it holds: in place, except under a mode."""
    if func is not aten.add.Tensor or torch._C._current_graph_task_id() == -1:
        return False
    storage = torch._C._storage_Use_Count(args[0].untyped_storage()._cdata)
    return (args[0]._use_count(), storage) == ALONE and args[0].is_contiguous()
