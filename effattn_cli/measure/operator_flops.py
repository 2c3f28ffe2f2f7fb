"""The FLOPs of an operator from its arguments: none if it only moves data, or unknown.

Every operator is counted, known to be free, or unknown: nothing counts as 0 just because it is not
listed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten

TRANSCENDENTAL = frozenset(
    "acos asin atan atan2 cos cosh digamma elu erf erfc erfinv exp exp2 expm1 gelu lgamma log log10"
    " log1p log2 logaddexp logit mish pow reciprocal rsqrt sigmoid silu sin sinh softplus"
    " sqrt tan tanh celu selu elu_backward gelu_backward sigmoid_backward silu_backward"
    " softplus_backward tanh_backward logsigmoid log_sigmoid_forward log_sigmoid_backward".split()
)
#: Passes over the input that a reduction makes, at one operation per element and pass.
REDUCTION = {
    "_softmax": 4, "_safe_softmax": 4, "_log_softmax": 4, "_softmax_backward_data": 3,
    "_log_softmax_backward_data": 3, "logsumexp": 4, "native_layer_norm": 7,
    "native_layer_norm_backward": 12, "_fused_rms_norm": 4, "var": 3, "var_mean": 4, "std": 3,
    "norm": 2, "linalg_vector_norm": 2, "_linalg_vector_norm": 2,
    "sum": 1, "mean": 1, "amax": 1, "amin": 1, "max": 1, "min": 1, "cumsum": 1, "cumprod": 1,
    "argmax": 1, "argmin": 1, "prod": 1, "any": 1, "all": 1, "cummax": 1, "cummin": 1,
    "logcumsumexp": 3, "median": 1, "bincount": 1, "index_add": 1, "scatter_add": 1,
    "index_reduce": 1, "scatter_reduce": 1, "avg_pool1d": 1, "avg_pool2d": 1,
    "max_pool2d_with_indices": 1, "avg_pool2d_backward": 1, "embedding_dense_backward": 1,
    "native_group_norm": 7, "native_group_norm_backward": 12, "native_batch_norm": 7,
    "_fused_rms_norm_backward": 10, "native_dropout": 2, "diff": 1, "count_nonzero": 1,
    "_native_batch_norm_legit": 7, "_native_batch_norm_legit_no_training": 7,
    "_adaptive_avg_pool2d": 1, "_adaptive_avg_pool2d_backward": 1, "_adaptive_avg_pool3d": 1,
    "avg_pool3d": 1, "max_pool3d_with_indices": 1, "max_pool2d_with_indices_backward": 1,
}  # fmt: skip
#: Elementwise operators without torch's pointwise tag.
POINTWISE = frozenset(
    "elu_backward softplus_backward floor_divide native_dropout_backward glu glu_backward"
    " hardtanh_backward leaky_relu_backward threshold_backward cross linalg_cross lerp"
    " _foreach_mul _foreach_add".split()
)
#: Elementwise operators with more than one operation per element.
PASSES = {"addcmul": 2, "addcdiv": 2}
#: Operators that create, move, select or compare values and compute nothing.
FREE = frozenset(
    "_index_put_impl _local_scalar_dense _to_copy _unique2 alias_copy arange argwhere"
    " as_strided_copy as_strided_scatter bernoulli bucketize cat clone col2im complex"
    " constant_pad_nd copy detach diag_embed diagonal_backward diagonal_copy diagonal_scatter"
    " embedding empty empty_like empty_permuted empty_strided equal expand_copy exponential eye"
    " fill flip full full_like gather im2col index index_copy index_fill index_put index_select"
    " is_same_size lift lift_fresh lift_fresh_copy linspace masked_scatter masked_select"
    " multinomial new_empty new_empty_strided new_full new_ones new_zeros nonzero"
    " nonzero_static normal one_hot ones ones_like permute_copy pixel_shuffle pixel_unshuffle"
    " promote_types rand rand_like randint randint_like randn randn_like random randperm"
    " reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave resize roll"
    " replication_pad1d replication_pad2d replication_pad3d sym_storage_offset sym_stride"
    " scalar_tensor scatter searchsorted select_backward select_copy select_scatter set"
    " slice_backward slice_copy slice_scatter split_copy split_with_sizes_copy squeeze_copy stack"
    " sym_numel sym_size take take_along_dim tile transpose_copy tril tril_indices triu"
    " triu_indices unbind_copy unfold_backward unfold_copy uniform unique_consecutive unique_dim"
    " unsqueeze_copy upsample_nearest1d upsample_nearest2d view_copy zero zeros zeros_like".split()
)
EXPS = {"_softmax", "_safe_softmax", "_log_softmax", "logsumexp", "logcumsumexp"}


def _pairs(queries: int, keys: int, *, causal: bool) -> int:
    """Query-key pairs that attention scores; torch aligns a causal mask at the top left."""
    if not causal:
        return queries * keys
    short = min(queries, keys)
    return short * (short + 1) // 2 + max(queries - keys, 0) * keys


def _attention(
    per_pair: Callable[[int, int], int], first: int, causal_at: int
) -> Callable[..., int]:
    """`per_pair`: FLOPs of a query-key pair, from the widths of q k and of v."""

    def flops(*args: Any, **kwargs: Any) -> int:
        q, k, v = args[first : first + 3]
        causal = kwargs.get("is_causal", args[causal_at] if len(args) > causal_at else False)
        pairs = _pairs(q.shape[-2], k.shape[-2], causal=bool(causal))
        return math.prod(q.shape[:-2]) * pairs * per_pair(q.shape[-1], v.shape[-1])

    return flops


def _fft(x: Tensor, dim: list[int], *_: Any, **__: Any) -> int:
    length = math.prod(x.shape[d] for d in dim)
    per_point = 5.0 if x.is_complex() else 2.5
    return int(per_point * x.numel() * math.log2(max(length, 2)))


def _sort(x: Tensor, *_: Any, **__: Any) -> int:
    return int(x.numel() * math.log2(max(x.shape[-1] if x.ndim else 1, 2)))


def _solve(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    """A triangular system with n unknowns and m right-hand sides: n^2 m operations."""
    n = a.shape[-1]
    return b.numel() * n


def _bag(indices_at: int, weights_at: int) -> Callable[..., int]:
    """Rows that are gathered and summed, each times its weight if there are weights."""

    def flops(*args: Any, **_: Any) -> int:
        once: int = args[indices_at].numel() * args[0].shape[-1]
        return 2 * once if args[weights_at] is not None else once

    return flops


def _cdist(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    return 3 * math.prod(a.shape[:-1]) * b.shape[-2] * a.shape[-1]


def _convolution_backward(grad: Tensor, x: Tensor, weight: Tensor, *args: Any, **_: Any) -> int:
    """Each gradient has as many products as the convolution; torch's formula ignores the groups."""
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
#: The softmax of fused attention, with as many passes over the scores as by itself; the backward
#: recomputes it from its sum. Its exponentials are hidden behind the products, so they add no time.
SOFTMAX: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention(lambda *_: 4, 0, 4),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention(lambda *_: 2 + 3, 1, 7),
}


@dataclass(frozen=True, slots=True)
class Work:
    """The work of an operator."""

    matmul: int = 0
    other: int = 0
    transcendentals: int = 0


NOTHING = Work()


def work(func: Any, args: Any, kwargs: Any, ins: list[Tensor], outs: list[Tensor]) -> Work | None:
    """None if it is not known."""
    packet, name = func.overloadpacket, func.overloadpacket.__name__.rstrip("_")
    if is_product(func):
        softmax = SOFTMAX[packet](*args, **kwargs) if packet in SOFTMAX else 0
        return Work(products(func, args, kwargs, outs[0]), softmax)
    if packet in OTHER:
        return Work(other=OTHER[packet](*args, **kwargs))
    if func.namespace not in {"aten", "prims"}:
        return None
    if name in REDUCTION:
        widest = max((tensor.numel() for tensor in ins), default=0)
        return Work(0, REDUCTION[name] * widest, widest if name in EXPS else 0)
    if is_pointwise(packet) or name in POINTWISE or name in TRANSCENDENTAL:
        size = max((tensor.numel() for tensor in outs), default=0)
        return Work(0, PASSES.get(name, 1) * size, size if name in TRANSCENDENTAL else 0)
    return NOTHING if name in FREE else None


def is_product(func: Any) -> bool:
    return func.overloadpacket in MATMUL or func.overloadpacket in flop_registry


def products(func: Any, args: Any, kwargs: Any, out: Any) -> int:
    """FLOPs of a matrix product or attention operator; `out` is its first result."""
    packet = func.overloadpacket
    if packet in MATMUL:
        return MATMUL[packet](*args, **kwargs)
    return int(flop_registry[packet](*args, **kwargs, out_val=out))


@cache
def is_pointwise(packet: Any) -> bool:
    """By torch's tags, which few in-place operators have; a copy has one but computes nothing."""
    base = getattr(aten, packet.__name__.rstrip("_"), packet)
    forms = [getattr(p, overload) for p in (packet, base) for overload in p.overloads()]
    return base is not aten.clone and any(torch.Tag.pointwise in form.tags for form in forms)


def is_view(func: Any) -> bool:
    if func.overloadpacket in {aten._unsafe_view, aten._reshape_alias}:
        return True
    returns = func._schema.returns
    return any(item.alias_info is not None and not item.alias_info.is_write for item in returns)
