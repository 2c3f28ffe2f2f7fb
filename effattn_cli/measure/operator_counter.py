"""Counts FLOPs, bytes moved and live memory of a program on fake tensors, at any length.

torch's own counter knows matrix products only, gives 0 for attention on a CPU, and takes causal
attention for full. Here one dispatch mode sees every operator of the eager program. Count the
eager function, never a compiled one: under a mode it runs eagerly, and stays eager afterwards.
"""

import math
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from effattn_cli.measure.traffic import moved, tensors
from effattn_cli.records import Cost

aten = torch.ops.aten

TRANSCENDENTAL = frozenset(
    "acos asin atan atan2 cos cosh digamma elu erf erfc erfinv exp exp2 expm1 gelu lgamma log log10"
    " log1p log2 logaddexp logit mish pow reciprocal rsqrt sigmoid silu sin sinh softplus"
    " sqrt tan tanh celu selu elu_backward gelu_backward sigmoid_backward silu_backward"
    " softplus_backward tanh_backward logsigmoid log_sigmoid_forward log_sigmoid_backward".split()
)
#: Passes over the input that a reduction makes: one operation an element and pass.
REDUCTION = {
    "_softmax": 4, "_safe_softmax": 4, "_log_softmax": 4, "_softmax_backward_data": 3,
    "_log_softmax_backward_data": 3, "logsumexp": 4, "native_layer_norm": 7,
    "native_layer_norm_backward": 12, "_fused_rms_norm": 4, "var": 3, "var_mean": 4, "std": 3,
    "norm": 2, "linalg_vector_norm": 2, "_linalg_vector_norm": 2,
    "sum": 1, "mean": 1, "amax": 1, "amin": 1, "max": 1, "min": 1, "cumsum": 1, "cumprod": 1,
    "argmax": 1, "argmin": 1, "prod": 1, "any": 1, "all": 1, "cummax": 1, "cummin": 1,
    "logcumsumexp": 3, "median": 1, "bincount": 1, "index_add": 1, "scatter_add": 1,
    "index_reduce": 1, "scatter_reduce": 1, "avg_pool1d": 1, "avg_pool2d": 1,
    "max_pool2d_with_indices": 1,
}  # fmt: skip
#: Uses of a tensor and of its storage, as they are seen here while nothing else holds it.
ALONE = (4, 2)
EXPS = {"_softmax", "_safe_softmax", "_log_softmax", "logsumexp", "logcumsumexp"}


def _pairs(queries: int, keys: int, *, causal: bool) -> int:
    """Query-key pairs that attention scores; torch aligns a causal mask at the top left."""
    if not causal:
        return queries * keys
    short = min(queries, keys)
    return short * (short + 1) // 2 + max(queries - keys, 0) * keys


def _attention(each: Callable[[int, int], int], first: int, causal_at: int) -> Callable[..., int]:
    """`each`: of a query and a key that it scores, by the widths of q k and of v."""

    def flops(*args: Any, **kwargs: Any) -> int:
        q, k, v = args[first : first + 3]
        causal = kwargs.get("is_causal", args[causal_at] if len(args) > causal_at else False)
        pairs = _pairs(q.shape[-2], k.shape[-2], causal=bool(causal))
        return math.prod(q.shape[:-2]) * pairs * each(q.shape[-1], v.shape[-1])

    return flops


def _fft(x: Tensor, dim: list[int], *_: Any, **__: Any) -> int:
    length = math.prod(x.shape[d] for d in dim)
    per_point = 5.0 if x.is_complex() else 2.5
    return int(per_point * x.numel() * math.log2(max(length, 2)))


def _sort(x: Tensor, *_: Any, **__: Any) -> int:
    return int(x.numel() * math.log2(max(x.shape[-1] if x.ndim else 1, 2)))


def _solve(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    """A triangular system with n unknowns and m right sides: n^2 m operations."""
    n = a.shape[-1]
    return b.numel() * n


def _bag(indices_at: int, weights_at: int) -> Callable[..., int]:
    """Rows that are gathered and added up, each times its weight if there are weights."""

    def flops(*args: Any, **_: Any) -> int:
        once: int = args[indices_at].numel() * args[0].shape[-1]
        return 2 * once if args[weights_at] is not None else once

    return flops


def _cdist(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    return 3 * math.prod(a.shape[:-1]) * b.shape[-2] * a.shape[-1]


def _convolution_backward(grad: Tensor, x: Tensor, weight: Tensor, *args: Any, **_: Any) -> int:
    """Each gradient is as many products as the convolution; torch's formula forgets the groups."""
    transposed, wanted = args[4], args[7]
    once = 2 * (x if transposed else grad).numel() * math.prod(weight.shape[1:])
    return once * sum(wanted[:2])


MATMUL: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention(lambda qk, v: 2 * (qk + v), 0, 4),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention(
        lambda qk, v: 2 * (3 * qk + 2 * v), 1, 7
    ),
    aten.addbmm: lambda _, a, b, **__: 2 * a.numel() * b.shape[-1],
    aten.mv: lambda a, _: 2 * a.numel(),
    aten.addmv: lambda _, a, __, **___: 2 * a.numel(),
    aten.dot: lambda a, _: 2 * a.numel(),
    aten.convolution_backward: _convolution_backward,
    aten.linalg_solve_triangular: _solve,
    aten._cdist_forward: _cdist,
}
OTHER: dict[Any, Callable[..., int]] = {
    aten._fft_r2c: _fft,
    aten._fft_c2r: _fft,
    aten._fft_c2c: _fft,
    aten.sort: _sort,
    aten.argsort: _sort,
    aten.topk: _sort,
    aten._embedding_bag: _bag(1, 6),
    aten._embedding_bag_forward_only: _bag(1, 6),
    aten._embedding_bag_backward: _bag(1, 10),
    aten._embedding_bag_per_sample_weights_backward: _bag(2, 0),
}
#: The softmax of fused attention, in as many passes over the scores as by itself; backward it is
#: made again, from its sum. Its exponentials hide beside the products: no operator waits for them.
SOFTMAX: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention(lambda *_: 4, 0, 4),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention(lambda *_: 2 + 3, 1, 7),
}


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what runs inside it. `watch` names tensors that exist before; they cost nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.matmul = self.other = self.transcendental = self.read = self.written = 0
        self.live = self.peak = self.operators = 0
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._sizes: dict[int, int] = {}  # of those that were made here

    @property
    def cost(self) -> Cost:
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
        """Tensors that are there from the start: inputs, weights, state."""
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
        out = func(*args, **kwargs)
        if func.namespace == "prim" or is_view(func):
            return out
        self.operators += 1
        outs = list(tensors(out))  # with `out=` they are among the arguments, and not read
        ins = list(tensors((args, {k: v for k, v in kwargs.items() if k != "out"})))
        if _accumulates(func, args):
            self._died(args[0])
        for tensor in outs:
            self._born(tensor)
        self._work(func, args, kwargs, ins, outs)
        read, written = moved(func, args, ins, outs)
        self.read += read
        self.written += written
        return out

    def _work(
        self, func: Any, args: Any, kwargs: Any, ins: list[Tensor], outs: list[Tensor]
    ) -> None:
        packet, name = func.overloadpacket, func.overloadpacket.__name__.rstrip("_")
        size = max((tensor.numel() for tensor in outs), default=0)
        widest = max((tensor.numel() for tensor in ins), default=0)
        if is_product(func):
            self.matmul += products(func, args, kwargs, outs[0])
            self.other += SOFTMAX[packet](*args, **kwargs) if packet in SOFTMAX else 0
        elif packet in OTHER:
            self.other += OTHER[packet](*args, **kwargs)
        elif name in REDUCTION:
            self.other += REDUCTION[name] * widest
            self.transcendental += widest if name in EXPS else 0
        elif is_pointwise(packet):
            self.other += size
            self.transcendental += size if name in TRANSCENDENTAL else 0

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
        """Its memory is another's from now on."""
        key = tensor.untyped_storage()._cdata
        if key in self._sizes:
            self.live -= self._sizes[key]
            self._sizes[key] = 0


def is_product(func: Any) -> bool:
    return func.overloadpacket in MATMUL or func.overloadpacket in flop_registry


def products(func: Any, args: Any, kwargs: Any, out: Any) -> int:
    """FLOPs of an operator that multiplies matrices or attends; `out` is its first result."""
    packet = func.overloadpacket
    if packet in MATMUL:
        return MATMUL[packet](*args, **kwargs)
    return int(flop_registry[packet](*args, **kwargs, out_val=out))


def _accumulates(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether autograd adds to a gradient that it alone holds: in place, but not under a mode."""
    if func is not aten.add.Tensor or torch._C._current_graph_task_id() == -1:
        return False
    storage = torch._C._storage_Use_Count(args[0].untyped_storage()._cdata)
    return (args[0]._use_count(), storage) == ALONE and args[0].is_contiguous()


@cache
def is_pointwise(packet: Any) -> bool:
    """By torch's tags, which few operators in place have; a copy has one but computes nothing."""
    base = getattr(aten, packet.__name__.rstrip("_"), packet)
    forms = [getattr(p, overload) for p in (packet, base) for overload in p.overloads()]
    return base is not aten.clone and any(torch.Tag.pointwise in form.tags for form in forms)


def is_view(func: Any) -> bool:
    if func.overloadpacket in {aten._unsafe_view, aten._reshape_alias}:
        return True
    returns = func._schema.returns
    return any(item.alias_info is not None and not item.alias_info.is_write for item in returns)
