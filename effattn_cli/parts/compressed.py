"""Blocks of keys and values, each compressed to one by an MLP, and block selection by them.

S tokens of a compressed block, one of which starts every `stride` tokens, Z in all. E hidden units.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, scaled_dot_product_attention

from effattn_cli.attention import Decodable, repeat_kv
from effattn_cli.parts.blocks import even
from effattn_cli.parts.precision import wide
from effattn_cli.parts.rows import rows_at_once


@dataclass(frozen=True)
class Cut:
    """How tokens are cut: into overlapping blocks to compress, and into blocks to select from."""

    size: int
    stride: int
    block: int

    def ended(self, tokens: int) -> int:
        """How many compressed blocks end within `tokens` tokens."""
        return max(0, (tokens - self.size) // self.stride + 1)

    def best(self, weight_BGTZ: Tensor, first: int, count: int) -> Tensor:
        """For the queries from position `first` on, the `count` blocks (B, G, T, N) with the
        largest shares of their weights.

        The first block, the query's own and the one before are excluded: all queries see these.
        """
        last = first + weight_BGTZ.shape[2] - 1
        position_T1 = torch.arange(first, last + 1, device=weight_BGTZ.device)[:, None]
        share_BGTY = self.shares(weight_BGTZ, last // self.block - 1)
        block_Y = torch.arange(share_BGTY.shape[3], device=weight_BGTZ.device)
        seen_TY = (block_Y == 0) | (block_Y >= position_T1 // self.block - 1)
        return share_BGTY.masked_fill(seen_TY, -torch.inf).topk(count, sorted=False).indices

    def seen(self, weight_BGxZ: Tensor, t: int, count: int) -> Tensor:
        """For the query at position t, its best blocks (B, G, N) and those that all queries see,
        except its own; all earlier blocks while there are no more.
        """
        own, shape = t // self.block, (*weight_BGxZ.shape[:2], -1)
        if own <= count + 2:
            return torch.arange(own, device=weight_BGxZ.device).expand(shape)
        both_N = torch.tensor([0, own - 1], device=weight_BGxZ.device)
        best_BGN = self.best(weight_BGxZ, t, count).squeeze(2)
        return torch.cat([both_N.expand(shape), best_BGN], dim=2)

    def shares(self, weight_BGTZ: Tensor, blocks: int) -> Tensor:
        """The weight that falls on each of the first blocks, (B, G, T, Y).

        A compressed block counts in each block that it overlaps, once per stride in common.
        """
        per, looks = self.block // self.stride, self.size // self.stride
        weight_BGTZ = pad(weight_BGTZ[..., : blocks * per], (looks - 1, 0))
        total = weight_BGTZ[..., looks - 1 :]
        for back in range(1, looks):
            total = total + weight_BGTZ[..., looks - 1 - back : -back]
        return torch.unflatten(total, -1, (-1, per)).sum(-1)


class Compressor(nn.Module):
    """Compresses the S tokens of a block into one; each token has a learned position embedding.

    W' gelu(W [x_1 + p_1, ..., x_S + p_S] + b) + b', with separate weights per head, in at least
    float32: rounding could change the selection of blocks.
    """

    def __init__(self, heads: int, width: int, cut: Cut) -> None:
        super().__init__()
        G, S, K, E = heads, cut.size, width, width
        self.cut, self.looks = cut, cut.size // cut.stride
        self.position_GSK = nn.Parameter(torch.randn(G, S, K) * 0.02)
        self.inner_GSKE = nn.Parameter(torch.randn(G, S, K, E) * (S * K) ** -0.5)
        self.inner_GxE = nn.Parameter(torch.zeros(G, 1, E))
        self.outer_GEK = nn.Parameter(torch.randn(G, E, K) * E**-0.5)
        self.outer_GxK = nn.Parameter(torch.zeros(G, 1, K))

    def forward(self, x_BGTK: Tensor) -> Tensor:
        """The compressed tokens of the complete blocks, (B, G, Z, K).

        Each stretch of `stride` tokens is multiplied once, for all of the blocks that contain it.
        """
        blocks = self.cut.ended(x_BGTK.shape[2])
        if not blocks:
            return wide(x_BGTK[:, :, :0])
        (B, G, _, K), stride, looks = x_BGTK.shape, self.cut.stride, self.looks
        x_BGTK = x_BGTK[:, :, : (blocks - 1 + looks) * stride]
        x_BGYJ = wide(x_BGTK).reshape(B, G, -1, stride * K)
        inner_GRJE = wide(self.inner_GSKE).view(G, looks, stride * K, -1)
        sums_BGYF = x_BGYJ @ inner_GRJE.transpose(1, 2).flatten(2)
        sums_BGYE = sums_BGYF.chunk(looks, dim=3)
        sum_BGZE = sums_BGYE[0][:, :, :blocks]
        for i in range(1, looks):
            sum_BGZE = sum_BGZE + sums_BGYE[i][:, :, i : i + blocks]
        return self._made(sum_BGZE)

    def step(self, x_BGK: Tensor, sum_BGRE: Tensor, t: int) -> tuple[Tensor, Tensor | None]:
        """Adds token t to the sums of the blocks that contain it, the newest block first; also
        returns the compressed block that the token completes, if it does.
        """
        inner_GRKE = wide(self.inner_GSKE[:, t % self.cut.stride :: self.cut.stride])
        sum_BGRE = sum_BGRE + (wide(x_BGK)[:, :, None, None] @ inner_GRKE).squeeze(3)
        if (t + 1) % self.cut.stride:
            return sum_BGRE, None
        made_BGK = self._made(sum_BGRE[:, :, -1:]).squeeze(2)
        return pad(sum_BGRE[:, :, :-1], (0, 0, 1, 0)), made_BGK

    def _made(self, sum_BGZE: Tensor) -> Tensor:
        position_GxJ = wide(self.position_GSK).flatten(1).unsqueeze(1)
        position_GxE = position_GxJ @ wide(self.inner_GSKE).flatten(1, 2) + wide(self.inner_GxE)
        return gelu(sum_BGZE + position_GxE) @ wide(self.outer_GEK) + wide(self.outer_GxK)


def coarse(q_BHTK: Tensor, k_BGZK: Tensor, v_BGZK: Tensor, cut: Cut) -> Tensor:
    """Attention to the compressed blocks that end at the query or before; 0 if there are none.

    Every `stride`-th query goes to the same batch entry, in which each query sees one block more
    than the one before it, as in causal attention.
    """
    B, H, T, K = q_BHTK.shape
    first = cut.size - 1
    if first >= T:
        return torch.zeros_like(q_BHTK)
    q_BHAYK = torch.unflatten(even(q_BHTK[:, :, first:], cut.stride), 2, (-1, cut.stride))
    q_XHAK = q_BHAYK.permute(0, 3, 1, 2, 4).flatten(0, 1)
    k_XHZK, v_XHZK = (
        repeat_kv(x.to(q_BHTK.dtype), H).unsqueeze(1).expand(-1, cut.stride, -1, -1, -1)
        for x in (k_BGZK, v_BGZK)
    )
    out_XHAK = scaled_dot_product_attention(
        q_XHAK, k_XHZK.flatten(0, 1), v_XHZK.flatten(0, 1), is_causal=True
    )
    out_BAYHK = torch.unflatten(out_XHAK, 0, (B, cut.stride)).permute(0, 3, 1, 2, 4)
    out_BTHK = out_BAYHK.flatten(1, 2)[:, : T - first]
    return torch.cat([out_BTHK.new_zeros(B, first, H, K), out_BTHK], dim=1).transpose(1, 2)


@torch.no_grad()
def most_important(q_BHTK: Tensor, k_BGZK: Tensor, cut: Cut, *, first: int, count: int) -> Tensor:
    """The blocks (B, G, T, N) with the largest compressed weights, summed over a group's heads.

    `first`: the position of the first query, from which on blocks have to be selected.
    """
    picks = []
    k_BGxKZ = wide(k_BGZK).unsqueeze(2).mT * q_BHTK.shape[3] ** -0.5
    step = rows_at_once(q_BHTK, k_BGZK.shape[2])
    for q_BHCK in torch.split(q_BHTK, step, dim=2):
        last = first + q_BHCK.shape[2]
        # Queries that pad the last block come after every block has ended.
        few, many = (min(cut.ended(n), k_BGZK.shape[2]) for n in (first + 1, last))
        q_BGRCK = torch.unflatten(wide(q_BHCK), 1, (k_BGZK.shape[1], -1))
        logits_BGRCZ = q_BGRCK @ k_BGxKZ[..., :many]
        end_Z = torch.arange(few, many, device=q_BHTK.device) * cut.stride + cut.size
        later_CZ = end_Z > torch.arange(first + 1, last + 1, device=q_BHTK.device)[:, None]
        logits_BGRCZ[..., few:].masked_fill_(later_CZ, -torch.inf)
        picks.append(cut.best(logits_BGRCZ.softmax(-1).sum(2), first, count))
        first = last
    return torch.cat(picks, dim=2)


@dataclass(frozen=True)
class Small:
    """Decoding state: room for compressed keys and values, and sums of unfinished blocks."""

    k_BGZK: Tensor
    v_BGZK: Tensor
    k_sum_BGRE: Tensor
    v_sum_BGRE: Tensor

    @classmethod
    def init(cls, layer: Decodable[Any], batch: int, context: int, cut: Cut) -> "Small":
        blocks = cut.ended(max(layer.config.tokens, context + 1))
        G, K, R = layer.kv_heads, layer.head_dim, cut.size // cut.stride
        kept = (wide(layer.blank(batch, G, blocks, K, random=True)) for _ in "kv")
        sums = (wide(layer.blank(batch, G, R, K, random=context > 0)) for _ in "kv")
        return cls(*kept, *sums)

    def add(
        self, press_k: Compressor, press_v: Compressor, k_BGK: Tensor, v_BGK: Tensor, t: int
    ) -> "Small":
        """Adds token t."""
        k_sum_BGRE, made_k_BGK = press_k.step(k_BGK, self.k_sum_BGRE, t)
        v_sum_BGRE, made_v_BGK = press_v.step(v_BGK, self.v_sum_BGRE, t)
        ended = press_k.cut.ended(t + 1)
        if ended and made_k_BGK is not None and made_v_BGK is not None:
            self.k_BGZK[:, :, ended - 1], self.v_BGZK[:, :, ended - 1] = made_k_BGK, made_v_BGK
        return replace(self, k_sum_BGRE=k_sum_BGRE, v_sum_BGRE=v_sum_BGRE)

    def attend(self, q_BHK: Tensor, ended: int) -> tuple[Tensor, Tensor]:
        """Attention to the blocks that have ended, 0 if there are none; and the weights
        (B, G, 1, Z), summed over a group's heads.
        """
        q_BGRK = wide(q_BHK).view(len(q_BHK), self.k_BGZK.shape[1], -1, q_BHK.shape[2])
        logits_BGRZ = q_BGRK @ self.k_BGZK[:, :, :ended].mT * q_BHK.shape[2] ** -0.5
        weight_BGRZ = logits_BGRZ.softmax(-1)
        out_BGRK = weight_BGRZ @ self.v_BGZK[:, :, :ended]
        return out_BGRK.view_as(q_BHK).to(q_BHK.dtype), weight_BGRZ.sum(2, keepdim=True)
