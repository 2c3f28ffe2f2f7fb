"""Softmax attention in a band around the diagonal, in blocks that never materialise N x N scores.

C queries of a block, Z blocks, S slots (the keys that a block sees), P pairs of sequence and head.
Blocks are folded into the batch and P into the heads, so that all heads share a mask.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import Decodable, repeat_kv
from effattn_cli.parts.exact import one_query


def banded(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    valid_BT: Tensor | None = None,
    *,
    before: int,
    after: int,
    always: int = 0,
) -> Tensor:
    """softmax(q k^T / sqrt K) v where query i sees the keys i - before .. i + after.

    Every query, early ones included, also sees the first `always` keys, each counted once.
    """
    B, H, T, K = q_BHTK.shape
    cut = _cut(T, before, after, always)
    # KV heads are repeated here: on CUDA no fused kernel takes both a mask and fewer kv heads.
    k_BHTK, v_BHTK = (repeat_kv(x, H) for x in (k_BGTK, v_BGTK))
    out_ZPCK = scaled_dot_product_attention(
        cut.queries(q_BHTK),
        cut.slots(k_BHTK, k_BHTK[:, :, :always]),
        cut.slots(v_BHTK, v_BHTK[:, :, :always]),
        attn_mask=_mask(cut, q_BHTK, valid_BT),
    )
    out_TPK = out_ZPCK.transpose(1, 2).flatten(0, 1)[:T]
    return out_TPK.view(T, B, H, K).permute(1, 2, 0, 3)


@dataclass(frozen=True)
class _Cut:
    """How tokens are cut into blocks, and which blocks a block sees."""

    tokens: int
    before: int
    after: int
    always: int
    block: int

    @property
    def blocks(self) -> int:
        return -(-self.tokens // self.block)

    @property
    def behind(self) -> int:
        return -(-self.before // self.block)

    @property
    def ahead(self) -> int:
        return -(-self.after // self.block)

    def queries(self, q_BHTK: Tensor) -> Tensor:
        B, H, T, K = q_BHTK.shape
        missing = self.blocks * self.block - T
        q_BHTK = pad(q_BHTK, (0, 0, 0, missing)) if missing else q_BHTK
        q_BHZCK = q_BHTK.view(B, H, self.blocks, self.block, K)
        return q_BHZCK.flatten(0, 1).transpose(0, 1)

    def slots(self, x_BHTE: Tensor, first_BHAE: Tensor) -> Tensor:
        """What each block sees, (Z, P, S, E): a view that stores each token once.

        The first tokens, which every block sees, are copied next to every block of the padded
        length, because a view has a fixed stride. Each block sees its own copy.
        """
        end = (self.blocks + self.ahead) * self.block - self.tokens
        x_BHTE = pad(x_BHTE, (0, 0, self.behind * self.block, end))
        if self.always:
            B, H, _, E = x_BHTE.shape
            x_BHZCE = x_BHTE.view(B, H, -1, self.block, E)
            first_BHZAE = first_BHAE.unsqueeze(2).expand(-1, -1, x_BHZCE.shape[2], -1, -1)
            x_BHTE = torch.cat([x_BHZCE, first_BHZAE], dim=3).flatten(2, 3)
        looks = self.behind + 1 + self.ahead
        return overlapping(x_BHTE.flatten(0, 1), self.block + self.always, looks)


def _cut(tokens: int, before: int, after: int, always: int) -> _Cut:
    """Blocks of a quarter of the band: each sees 5 blocks, and a fifth of its scores are unused.

    On a CPU smaller blocks were hardly faster forward and slower to train; larger ones were slower.
    """
    before, after = min(before, tokens - 1), min(after, tokens - 1)
    block = 16 * max(1, -(-(before + after) // 64))
    return _Cut(tokens, before, after, min(always, tokens), block)


def _mask(cut: _Cut, q_BHTK: Tensor, valid_BT: Tensor | None) -> Tensor:
    """Bias to add to the scores, (Z, P or 1, C, S): the band, minus padding and duplicates."""
    B, H, T, _ = q_BHTK.shape
    device = q_BHTK.device
    at_R1 = torch.arange(-cut.behind, cut.ahead + 1, device=device)[:, None]
    at_C = torch.arange(cut.block, device=device)
    away_CRC = at_C[:, None, None] - (at_R1 * cut.block + at_C)
    band_CRC = (away_CRC <= cut.before) & (away_CRC >= -cut.after)
    own_CRA = (at_R1 == 0).expand(cut.block, -1, cut.always)
    band_CS = torch.cat([band_CRC, own_CRA], dim=2).flatten(1)
    real_BHT1 = torch.ones(1, 1, T, 1, dtype=torch.bool, device=device)
    if valid_BT is not None:
        real_BHT1 = valid_BT[:, None, :, None].expand(B, H if B > 1 else 1, T, 1)
    once_T1 = torch.arange(T, device=device)[:, None] >= cut.always
    valid_ZPS = cut.slots(real_BHT1 & once_T1, real_BHT1[:, :, : cut.always]).squeeze(-1)
    # Finite, so that a query with nothing to see (past the end of the last block) gets no NaN
    # gradient; half the lowest number, so that two of them can be added.
    lowest = torch.finfo(q_BHTK.dtype).min / 2
    seen = torch.zeros((), dtype=q_BHTK.dtype, device=device)
    return torch.where(band_CS, seen, lowest) + torch.where(valid_ZPS, seen, lowest).unsqueeze(2)


def overlapping(x_PTE: Tensor, step: int, looks: int) -> Tensor:
    """Windows of `looks` steps, one per step: (P, T, E) to (Z, P, S, E), without a copy."""
    # Dynamo warns about an autograd Function without a gradient.
    windows: Any = _Overlapping.apply if x_PTE.requires_grad else _windows
    return windows(x_PTE, step, looks)


def _windows(x_PTE: Tensor, step: int, looks: int) -> Tensor:
    return x_PTE.unfold(1, step * looks, step).permute(1, 0, 3, 2)


class _Overlapping(torch.autograd.Function):
    """`_windows` with a gradient that sums shifted blocks, six times as fast as `unfold`'s own."""

    @staticmethod
    def forward(ctx: Any, x_PTE: Tensor, step: int, looks: int) -> Tensor:
        ctx.step, ctx.looks = step, looks
        return _windows(x_PTE, step, looks)

    @staticmethod
    def backward(ctx: Any, grad_ZPSE: Tensor) -> tuple[Tensor, None, None]:
        Z, P, _, E = grad_ZPSE.shape
        grad_RZCPE = grad_ZPSE.view(Z, P, ctx.looks, ctx.step, E).permute(2, 0, 3, 1, 4)
        sum_ZCPE = grad_ZPSE.new_zeros(Z + ctx.looks - 1, ctx.step, P, E)
        for shift, grad_ZCPE in enumerate(grad_RZCPE):
            sum_ZCPE[shift : shift + Z] += grad_ZCPE
        return sum_ZCPE.flatten(0, 1).transpose(0, 1), None, None


@dataclass(frozen=True)
class Ring:
    """Decoding state of banded attention: keys and values of the first tokens and the last ones.

    Slots beyond the first `always` form a ring buffer; their order does not matter.
    """

    k_BGRK: Tensor
    v_BGRK: Tensor
    length: int
    always: int

    @classmethod
    def init(
        cls,
        layer: "Decodable[Ring]",
        batch: int,
        context: int,
        *,
        last: int,
        always: int = 0,
        heads: int | None = None,
    ) -> "Ring":
        """Random content, with room for the first `always` tokens and the `last` ones.

        `heads`: number of heads of the keys and values, if not the layer's kv heads.
        """
        shape = (batch, heads or layer.kv_heads, always + last, layer.head_dim)
        k_BGRK, v_BGRK = (layer.blank(*shape, random=True) for _ in range(2))
        return cls(k_BGRK, v_BGRK, context, always)

    def append(self, k_BGK: Tensor, v_BGK: Tensor) -> "Ring":
        slot = self.length
        if slot >= self.always:
            turn = self.k_BGRK.shape[2] - self.always
            slot = self.always + (slot - self.always) % turn
        self.k_BGRK[:, :, slot] = k_BGK
        self.v_BGRK[:, :, slot] = v_BGK
        return replace(self, length=self.length + 1)

    def attend(self, q_BHK: Tensor, sink_H: Tensor | None = None) -> Tensor:
        """Exact attention over the filled slots; a group's query heads read their kv head once."""
        return one_query(
            q_BHK, self.k_BGRK[:, :, : self.length], self.v_BGRK[:, :, : self.length], sink_H
        )
