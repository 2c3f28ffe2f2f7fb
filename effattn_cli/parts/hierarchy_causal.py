"""Causal hierarchical attention: near tokens individually, far ones by means over longer groups.

Queries are tokens, because a mean of queries would leak later ones, and see means of complete
groups only. Level l has groups of 2^l tokens, and blocks of C groups. At level 0 a query sees its
own block up to itself and the block before; at level l the part of the block before its own that no
lower level covers, so that each token is seen once. A mean weighs as much as all tokens of its
group.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from effattn_cli.parts import fused
from effattn_cli.parts.blocks import even
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.lse_merge import hide, take_in
from effattn_cli.parts.precision import wide


def backwards(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, *, block: int) -> Tensor:
    """Padding is on the right, so no real query sees it."""
    T = q_BHTK.shape[2]
    q, k, v = (even(x, block).transpose(1, 2) for x in (q_BHTK, k_BHTK, v_BHTK))
    parts, keys = _parts(q.shape[1], block, q)
    k, v = (_pyramid(x, keys) for x in (k, v))
    tensors = q.contiguous(), k, v
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        merge: Any = _Backwards.apply
        return merge(parts, *tensors).transpose(1, 2)[:, :, :T]
    return _merged(parts, *tensors)[0].transpose(1, 2)[:, :, :T]


def _pyramid(x_BTHK: Tensor, lengths: Sequence[int]) -> Tensor:
    """The means of each level concatenated, as many as are complete."""
    levels = [x_BTHK]
    for length in lengths[1:]:
        fine = wide(levels[-1][:, : 2 * length])
        levels.append(fine[:, ::2].lerp(fine[:, 1::2], 0.5))
    return torch.cat([x.to(x_BTHK.dtype) for x in levels], dim=1)


@dataclass(frozen=True)
class _Part:
    """Rows of queries and rows of keys, both cut into `blocks`, which see their counterparts.

    `shift` is the log of how many tokens a key stands for.
    """

    q: slice
    k: slice
    blocks: int
    mask: Tensor | None = None
    shift: float = 0.0
    causal: bool = False

    def fold(self, x_BTHE: Tensor, rows: slice) -> Tensor:
        """(X, H, S, E), X = B blocks."""
        B, _, H, E = x_BTHE.shape
        return x_BTHE[:, rows].reshape(B * self.blocks, -1, H, E).transpose(1, 2)


def _parts(tokens: int, block: int, like: Tensor) -> tuple[tuple[_Part, ...], list[int]]:
    """Which rows see which keys, and how many keys each level has; the first has every query."""
    everything, lengths = slice(0, tokens), [tokens]
    parts = [_Part(everything, everything, tokens // block, causal=True)]
    if tokens > block:
        before = slice(0, tokens - block)
        parts.append(_Part(slice(block, tokens), before, tokens // block - 1))
    size, level = 2 * block, 1
    while size < tokens:
        whole, first = tokens // size, sum(lengths)
        early_S1 = torch.arange(size, device=like.device)[:, None] * 2 < size
        late_C = torch.arange(block, device=like.device) * 2 >= block
        mask = hide(early_S1 & late_C, like)[None, None]
        shift = level * math.log(2)
        end, middle = first + whole * block, first + (whole - 1) * block
        if whole > 1:
            rows = slice(size, whole * size), slice(first, middle)
            parts.append(_Part(*rows, whole - 1, mask, shift))
        rest = tokens - whole * size
        if rest:
            rows = slice(whole * size, tokens), slice(middle, end)
            parts.append(_Part(*rows, 1, mask[:, :, :rest], shift))
        lengths.append(whole * block)
        size, level = 2 * size, level + 1
    return tuple(parts), lengths


class _Backwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: tuple[_Part, ...], *tensors: Tensor) -> Tensor:
        out_BTHK, total_BTHx = _merged(parts, *tensors)
        ctx.parts = parts
        ctx.save_for_backward(*tensors, out_BTHK, total_BTHx)
        return out_BTHK

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tensors = grads[0], *ctx.saved_tensors
        if pieces_pay(tensors[0]):  # with so few keys a CPU is slower in half types
            tensors = tuple(map(wide, tensors))
        grad_BTHK, q, k, v, out_BTHK, total_BTHx = tensors
        totals = [torch.zeros_like(x) for x in (q, k, v)]
        for part in ctx.parts:
            of_q = [part.fold(x, part.q) for x in (grad_BTHK, q, out_BTHK, total_BTHx)]
            of_k = [part.fold(x, part.k) for x in (k, v)]
            log_sum_XHS = of_q[3].squeeze(-1) - part.shift
            mask = part.mask if part.mask is None else part.mask.to(q.dtype)
            pieces = fused.backward(
                of_q[0], of_q[1], of_k[0], of_k[1], of_q[2], log_sum_XHS, mask,
                causal=part.causal, scale=q.shape[3] ** -0.5,
            )  # fmt: skip
            rows = part.q, part.k, part.k
            for total, row, piece in zip(totals, rows, pieces, strict=True):
                into = total[:, row]
                into += piece.transpose(1, 2).reshape(into.shape)
        return None, *(total.to(grads[0].dtype) for total in totals)


def _merged(parts: Sequence[_Part], q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The output (B, T, H, K) and the log-sum-exp (B, T, H, 1)."""
    out_BTHK = total_BTHx = q  # overwritten by the first part
    for i, part in enumerate(parts):
        folded = part.fold(q, part.q), part.fold(k, part.k), part.fold(v, part.k)
        out, log_sum = fused.forward(
            *folded, part.mask, causal=part.causal, scale=q.shape[3] ** -0.5
        )
        log_sum = log_sum.transpose(1, 2) + part.shift
        if i == 0:
            out_BTHK = out.transpose(1, 2).reshape(q.shape)
            total_BTHx = log_sum.reshape(*q.shape[:3], 1)
            continue
        had_BTHK, had_BTHx = out_BTHK[:, part.q], total_BTHx[:, part.q]
        more_BTHK = out.transpose(1, 2).reshape(had_BTHK.shape)
        more_BTHx = log_sum.reshape(had_BTHx.shape)
        take_in(had_BTHK, had_BTHx, more_BTHK, more_BTHx)
    return out_BTHK, total_BTHx
