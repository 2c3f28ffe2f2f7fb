"""Attention to near tokens individually, and to far ones by means over increasingly long groups.

Level l has groups of 2^l tokens, and blocks of C groups. At level 0 a query sees its own block and
both neighbours; at level l the parts of the neighbouring blocks that no lower level covers, so that
each token is seen once. A mean weighs as much as all tokens of its group. Levels are merged by
log-sum-exp.

P pairs of sequence and head; M blocks of all levels concatenated, with an empty one after each
level, and U = M C groups; F = P M; S = 3 C, the keys that a block sees.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from effattn_cli.parts import fused
from effattn_cli.parts.blocks import even
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.lse_merge import hide
from effattn_cli.parts.precision import wide


def both_ways(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None, *, block: int
) -> Tensor:
    """Not causal: queries are means too, and the output of one goes to all tokens of its group."""
    qkv = q_BHTK, k_BHTK, v_BHTK
    levels = _Levels.of(q_BHTK, valid_BT, block)
    if torch.is_grad_enabled() and any(x.requires_grad for x in qkv):
        look: Any = _BothWays.apply
        return look(levels, *qkv)
    return _looked(levels, qkv)[0]


@dataclass(frozen=True)
class _Levels:
    block: int
    counts: tuple[Tensor, ...]  # number of tokens in each mean, (1 or B, 1, T, 1) per level
    valid_BxTx: Tensor | None  # None if all are real
    mask_MxCS: Tensor

    @classmethod
    def of(cls, q_BHTK: Tensor, valid_BT: Tensor | None, block: int) -> "_Levels":
        """The last level has at most two blocks, which see each other."""
        ones_BT = q_BHTK.new_ones(1, q_BHTK.shape[2]) if valid_BT is None else valid_BT
        valid_BxTx = wide(ones_BT.to(q_BHTK.dtype))[:, None, :, None]
        counts = [even(valid_BxTx, block)]
        while counts[-1].shape[2] > 2 * block:
            counts.append(_pairs(counts[-1], block))
        mask = _mask(counts, block, q_BHTK)
        return cls(block, tuple(counts), None if valid_BT is None else valid_BxTx, mask)

    @property
    def rows(self) -> list[slice]:
        """The rows of each level in U."""
        rows, first = [], 0
        for count in self.counts:
            rows.append(slice(first, first + count.shape[2]))
            first = rows[-1].stop + self.block
        return rows

    def pack(self, x_BHTK: Tensor) -> Tensor:
        """The means of all levels, (C + F C + C, K), with an empty block at both ends."""
        B, H, T, K = x_BHTK.shape
        groups, edge = self.rows[-1].stop + self.block, self.block
        flat = x_BHTK.new_empty(B * H * groups + 2 * edge, K)
        flat[:edge] = flat[-edge:] = 0
        x_BHUK = self.apart(flat[edge:-edge].view(B, H, groups, K))
        x_BHUK[:, :, :T], x_BHUK[:, :, T : self.rows[0].stop] = x_BHTK, 0
        sums = wide(x_BHTK) if self.valid_BxTx is None else wide(x_BHTK) * self.valid_BxTx
        for rows, count in zip(self.rows[1:], self.counts[1:], strict=True):
            sums = _pairs(sums, edge)
            x_BHUK[:, :, rows] = sums / count.clamp(min=1)
        return flat

    def apart(self, x_BHUE: Tensor) -> Tensor:
        """Writes zeros between the levels."""
        for rows in self.rows:
            x_BHUE[:, :, rows.stop : rows.stop + self.block] = 0
        return x_BHUE

    def unpack(self, grad_BHUK: Tensor, tokens: int) -> Tensor:
        """The gradient of what was packed, from that of the means."""
        far = None
        for rows, count in reversed([*zip(self.rows, self.counts, strict=True)][1:]):
            near = wide(grad_BHUK[:, :, rows]) / count.clamp(min=1)
            far = near if far is None else near + _doubled(far, near.shape[2])
        grad_BHTK = grad_BHUK[:, :, :tokens]
        if far is None:
            return grad_BHTK
        far = _doubled(far, tokens)
        far = far if self.valid_BxTx is None else far * self.valid_BxTx
        return (grad_BHTK + far).to(grad_BHUK.dtype)

    def shares(self, total_BHUx: Tensor) -> list[Tensor]:
        """At each level but the last, the share of the higher levels in it and them."""
        own = [total_BHUx[:, :, rows] + i * math.log(2) for i, rows in enumerate(self.rows)]
        shares, far = [], own.pop()
        for near in reversed(own):
            far = _doubled(far, near.shape[2])
            shares.append(torch.sigmoid(far - near))
            far = torch.logaddexp(far, near)
        return shares[::-1]


def _pairs(x_BHTE: Tensor, block: int) -> Tensor:
    """Sums of adjacent pairs, padded to an even number of blocks."""
    first, second = torch.unflatten(even(x_BHTE, 2 * block), 2, (-1, 2)).unbind(3)
    return first + second


def _doubled(x_BHTE: Tensor, tokens: int) -> Tensor:
    """Repeats the value of each group for both of its halves."""
    return x_BHTE.repeat_interleave(2, dim=2)[:, :, :tokens]


def _mask(counts: Sequence[Tensor], block: int, like: Tensor) -> Tensor:
    """Bias to add to the scores, (M, 1 or P, C, S): hides what is absent or not for this level.

    The log size of a full group is added to the log-sum-exp of its level; here is the correction
    for groups that are not full.
    """
    parts = [pad(count * 2.0**-level, (0, 0, 0, block)) for level, count in enumerate(counts)]
    part_BU = torch.cat(parts, dim=2).flatten(1)
    part_BMxS = pad(part_BU, (block, block)).unfold(1, 3 * block, block).unsqueeze(2)
    half_S = torch.arange(3 * block, device=like.device) * 2 // block
    shown_CS = (half_S - half_S[block : 2 * block, None]).abs() < 2  # covered by the level below
    is_mean_Mxx = torch.arange(part_BMxS.shape[1], device=like.device)[:, None, None]
    is_mean_Mxx = is_mean_Mxx * block >= counts[0].shape[2]
    mask_BMCS = part_BMxS.clamp(min=1e-9).log() + wide(hide(part_BMxS == 0, like))
    mask_BMCS = mask_BMCS + wide(hide(shown_CS & is_mean_Mxx, like))
    if len(mask_BMCS) > 1:
        mask_BMCS = mask_BMCS.repeat_interleave(like.shape[1], dim=0)
    return mask_BMCS.transpose(0, 1)


def _windows(flat: Tensor, block: int) -> Tensor:
    """Each block with the ones before and after it, (F, S, K), a view."""
    return flat.unfold(0, 3 * block, block).mT


def _looked(levels: _Levels, qkv: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The output (B, H, T, K), and the log-sum-exp of each level (B, H, U, 1)."""
    B, H, T, K = qkv[0].shape
    P, C = B * H, levels.block
    q, k, v = (levels.pack(x) for x in qkv)
    q_MPCK = q[C:-C].view(P, -1, C, K).transpose(0, 1)
    k_MPSK, v_MPSK = (torch.unflatten(_windows(x, C), 0, (P, -1)).transpose(0, 1) for x in (k, v))
    out_MPCK, total_MPC = fused.forward(q_MPCK, k_MPSK, v_MPSK, levels.mask_MxCS, scale=K**-0.5)
    out_BHUK = out_MPCK.transpose(1, 2).reshape(-1, B, H, K).permute(1, 2, 0, 3)
    total_BHUx = total_MPC.transpose(0, 1).reshape(B, H, -1, 1)
    *near, last = (out_BHUK[:, :, rows] for rows in levels.rows)
    shares = levels.shares(total_BHUx)
    for out_BHTK, share_BHTx in zip(reversed(near), reversed(shares), strict=True):
        far_BHTK = _doubled(last, out_BHTK.shape[2])
        last = out_BHTK.lerp(far_BHTK, share_BHTx.to(far_BHTK.dtype))
    return last[:, :, :T], total_BHUx


class _BothWays(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, levels: _Levels, *qkv: Tensor) -> Tensor:
        out_BHTK, total_BHUx = _looked(levels, qkv)
        ctx.levels = levels
        ctx.save_for_backward(*qkv, out_BHTK, total_BHUx)
        return out_BHTK

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Unfused, in pieces on a CPU: with so few keys fused kernels are no faster."""
        *qkv, out_BHTK, total_BHUx = ctx.saved_tensors
        (B, H, T, _), levels = out_BHTK.shape, ctx.levels
        flats = [levels.pack(x) for x in qkv]
        grad_BHUK, less_BHUx = _spread(levels, grads[0], out_BHTK, total_BHUx)
        totals = [torch.empty_like(grad_BHUK) for _ in qkv]
        whole = [grad_BHUK, less_BHUx, total_BHUx, *totals]
        groups, edge = total_BHUx.shape[2], 2 * levels.block
        several = 1 if pieces_pay(grad_BHUK) else B * H
        for first in range(0, B * H, several):
            own = [x[first * groups : (first + several) * groups + edge] for x in flats]
            rows = [x.flatten(0, 1)[first : first + several] for x in whole]
            mask = levels.mask_MxCS.transpose(0, 1)
            mask = mask if len(mask) == 1 else mask[first : first + several]
            _look_back(own, rows, mask)
        return None, *(levels.unpack(x, T) for x in totals)


def _spread(
    levels: _Levels, grad_BHTK: Tensor, out_BHTK: Tensor, total_BHUx: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradient of each level's output, (B, H, U, K), and its dot product with the whole output.

    Both are scaled by the level's share of the whole, and summed over the tokens of a group.
    """
    grad, less = grad_BHTK, wide(grad_BHTK * out_BHTK).sum(-1, keepdim=True)
    grad_BHUK = levels.apart(grad.new_empty(*total_BHUx.shape[:3], grad.shape[3]))
    less_BHUx = levels.apart(torch.empty_like(total_BHUx))
    grad, less = (even(x, levels.block) for x in (wide(grad), less))
    shares = levels.shares(total_BHUx)
    for rows, share in zip(levels.rows, shares, strict=False):
        grad_BHUK[:, :, rows], less_BHUx[:, :, rows] = grad * (1 - share), less * (1 - share)
        grad, less = (_pairs(x * share, levels.block) for x in (grad, less))
    rows = levels.rows[-1]
    grad_BHUK[:, :, rows], less_BHUx[:, :, rows] = grad, less
    return grad_BHUK, less_BHUx


def _look_back(own: Sequence[Tensor], rows: Sequence[Tensor], mask: Tensor) -> None:
    """Writes the gradients of q, k and v at all levels, the last of `rows`, each (P, U, K)."""
    grad, less_PUx, total_PUx, of_q, of_k, of_v = rows
    (P, _, K), C, scale = grad.shape, mask.shape[2], grad.shape[2] ** -0.5
    q_FCK, grad_FCK = own[0][C:-C].view(-1, C, K) * scale, grad.reshape(-1, C, K)
    k_FSK, v_FSK = (_windows(x, C) for x in own[1:])
    weight_PMCS = wide(q_FCK @ k_FSK.mT).view(P, -1, C, 3 * C).add_(mask)
    weight_PMCS = weight_PMCS.sub_(total_PUx.reshape(P, -1, C, 1)).exp_()
    slope_PMCS = wide(grad_FCK @ v_FSK.mT).view_as(weight_PMCS)
    slope_PMCS = slope_PMCS.sub_(less_PUx.reshape(P, -1, C, 1)).mul_(weight_PMCS)
    slope_FCS, weight_FCS = (x.flatten(0, 1).to(grad.dtype) for x in (slope_PMCS, weight_PMCS))
    of_q.copy_((slope_FCS @ k_FSK).mul_(scale).view_as(grad))
    for into, windows_FSK in ((of_k, slope_FCS.mT @ q_FCK), (of_v, weight_FCS.mT @ grad_FCK)):
        before, at, behind = windows_FSK.chunk(3, dim=1)
        total_FCK = into.view(-1, C, K)
        total_FCK.copy_(at)
        total_FCK[:-1] += before[1:]
        total_FCK[1:] += behind[:-1]
