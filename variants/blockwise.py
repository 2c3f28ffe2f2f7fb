"""Blockwise self-attention: each head pairs each block of queries with one block of keys."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from effattn_cli.attention import Card, Unsupported
from effattn_cli.parts.blocks import even, fold, key_mask, unfold
from effattn_cli.parts.rotary import Rotary


@final
class Blockwise(Rotary):
    """Cuts the tokens into n blocks; in head h, block i of the queries sees only block p_h(i).

    p_h is the identity for most heads and a cyclic shift for the others: p(i) = i + s mod n
    (Blockwise Self-Attention for Long Document Understanding, Qiu et al. 2019, arXiv:1911.02972).
    """

    card = Card(
        title="Blockwise",
        families=("fixed-pattern",),
        paper="arXiv:1911.02972",
        year=2019,
        time="N^2",
        memory="N",
        causal="never",
        kind="approximates softmax",
        swap="lossy",
        knobs={"blocks": "1"},
        aliases=("blockbert",),
        notes=(
            "time is N^2 / n, for the paper fixes the number n of blocks, not their size",
            "which heads shift is not in the paper: the last ones do, by 1, 2, ... n - 1 in turn",
            "a query whose block of keys is all padding gets 0 from that head",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Rotary.Config):
        blocks: int = 2
        """How many blocks (n in the paper, 2 or 3 there)."""
        shifted: int | None = None
        """Heads that look at another block; a sixth for each shift unless given, as in the paper's
        10:2 and 8:2:2 of 12 heads."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.blocks < 1:
            raise Unsupported(f"blocks {config.blocks} is below 1")
        shifted = config.shifted
        if shifted is None:
            sixth = max(1, round(self.heads / 6))
            shifted = min(sixth * (config.blocks - 1), self.heads - 1)
        if not 0 <= shifted <= self.heads:
            raise Unsupported(f"shifted {shifted} is not from 0 to the {self.heads} heads")
        self.blocks, self.still = config.blocks, self.heads - shifted

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        B, _, T, _ = q_BHTK.shape
        block = -(-T // self.blocks)
        q, k, v = (even(x, block) for x in (q_BHTK, k_BHTK, v_BHTK))
        mask = key_mask(q, T, valid_BT)
        if valid_BT is not None:  # a head that sees only padding outputs 0
            v = v * even(valid_BT[:, None, :, None], block)
        k, v = self._shift(k, block), self._shift(v, block)
        if mask is not None:
            mask = mask[:, None, :, None].expand(-1, self.heads, -1, 1)
            mask = fold(self._shift(mask, block), block).mT
        q, k, v = fold(q, block), fold(k, block), fold(v, block)
        return unfold(scaled_dot_product_attention(q, k, v, attn_mask=mask), B)[:, :, :T]

    def _shift(self, x_BHTE: Tensor, block: int) -> Tensor:
        """Permutes each head's blocks so that they line up with the query blocks that see them."""
        blocks = x_BHTE.shape[2] // block
        if blocks == 1 or self.still == self.heads:
            return x_BHTE
        shifts = [(h - self.still) % (blocks - 1) + 1 for h in range(self.still, self.heads)]
        x_BTHE = x_BHTE.transpose(1, 2)
        moved = [
            x_BTHE[:, :, h : h + 1].roll(-shift * block, dims=1)
            for h, shift in enumerate(shifts, self.still)
        ]
        return torch.cat([x_BTHE[:, :, : self.still], *moved], dim=2).transpose(1, 2)
