"""Big Bird: a sliding window, two global blocks and a few random blocks."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import Card, SurveyRow, Unsupported
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.exact import exact
from effattn_cli.parts.rotary import Rotary

CACHED = 2**20  # elements of gathered keys per piece, so that they fit in a CPU's caches
NEAR = 5  # blocks that every block sees: the first, the last, itself and both neighbours


@final
class BigBird(Rotary):
    """Each block of tokens sees the first and last blocks, its neighbours, and R random blocks.

    The first and the last block see all tokens. A row is one softmax over its blocks, each counted
    once (Big Bird, Zaheer et al. 2020, arXiv:2007.14062, the internal transformer construction,
    ITC).
    """

    card = Card(
        title="Big Bird",
        families=("fixed-pattern", "memory"),
        paper="arXiv:2007.14062",
        year=2020,
        time="N",
        memory="N",
        causal="never",
        kind="approximates softmax",
        swap="lossy",
        knobs={"random_blocks": "N"},
        aliases=("bigbird",),
        survey=SurveyRow(complexity="N", decode=False, classes="FP+M"),
        lra=55.01,
        notes=(
            "the random blocks are drawn when the layer is made, each head its own, from those that"
            " the row does not see yet; the authors' code may draw a block twice or beside the row,"
            " and for some lengths draws from the first 1024 tokens only",
            "another number of blocks gives another pattern, drawn from the same random numbers",
            "the last block is that of the longest sequence of the batch, as in the authors' code",
            "with at most R + 4 blocks all see all, and attention is exact",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Rotary.Config):
        block_size: int = 64
        """Tokens of a block."""
        random_blocks: int = 3
        """Blocks that a block sees by chance (r in the paper)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.block_size < 1:
            raise Unsupported(f"block_size {config.block_size} is below 1")
        if config.random_blocks < 0:
            raise Unsupported(f"random_blocks {config.random_blocks} is below 0")
        self.block, self.random = config.block_size, config.random_blocks
        rows = max(0, -(-config.tokens // self.block) - 2)
        self.draws_HZR: Tensor  # integers, so that casting the layer cannot change the pattern
        self.register_buffer("draws_HZR", torch.randint(2**31, (self.heads, rows, self.random)))

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        T = q_BHTK.shape[2]
        blocks = -(-T // self.block)
        if blocks < self.random + NEAR:
            return exact(q_BHTK, k_BHTK, v_BHTK, valid_BT)
        end = blocks * self.block - T
        if end:
            valid_BT = q_BHTK.new_ones(len(q_BHTK), T).bool() if valid_BT is None else valid_BT
            valid_BT = pad(valid_BT, (0, end))
            q_BHTK, k_BHTK, v_BHTK = (pad(x, (0, 0, 0, end)) for x in (q_BHTK, k_BHTK, v_BHTK))
        q_BHEK = torch.cat([q_BHTK[:, :, : self.block], q_BHTK[:, :, -self.block :]], dim=2)
        ends_BHEK = exact(q_BHEK, k_BHTK, v_BHTK, valid_BT)
        rows_BHTK = self._rows(q_BHTK, k_BHTK, v_BHTK, valid_BT)
        both = (ends_BHEK[:, :, : self.block], rows_BHTK, ends_BHEK[:, :, self.block :])
        return torch.cat(both, dim=2)[:, :, :T]

    def _rows(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
    ) -> Tensor:
        """The block rows between the first and the last: G in all, each sees L blocks of C."""
        B, H, T, K = q_BHTK.shape
        blocks = T // self.block
        looks_HZL, once_ZL = self._looks(blocks)
        seen_BHZLC = once_ZL[None, None, :, :, None].expand(B, H, -1, -1, self.block)
        if valid_BT is not None:
            seen_BHZLC = seen_BHZLC & valid_BT.view(B, blocks, self.block)[:, looks_HZL]
        begin_BH11 = torch.arange(0, B * H * blocks, blocks, device=q_BHTK.device).view(B, H, 1, 1)
        position_GL = (looks_HZL + begin_BH11).flatten(0, 2)
        seen_GxxS = seen_BHZLC.flatten(3).reshape(len(position_GL), 1, 1, -1)
        q_GxCK = q_BHTK[:, :, self.block : -self.block].reshape(-1, 1, self.block, K)
        k_ZCK, v_ZCK = (x.reshape(-1, self.block, K) for x in (k_BHTK, v_BHTK))
        # Not split in training: the gradient of each piece would be as large as all keys.
        learns = torch.is_grad_enabled() and k_BHTK.requires_grad
        few = pieces_pay(q_BHTK) and not learns
        rows = CACHED // (seen_GxxS.shape[3] * K) if few else len(q_GxCK)
        parts = (torch.split(x, max(1, rows)) for x in (q_GxCK, position_GL, seen_GxxS))
        outs = [_gathered(q, k_ZCK, v_ZCK, *rest) for q, *rest in zip(*parts, strict=True)]
        return torch.cat(outs).view(B, H, -1, K)

    def _looks(self, blocks: int) -> tuple[Tensor, Tensor]:
        """The blocks that rows 1 .. blocks - 2 see, (H, Z, L); False for duplicates, (Z, L)."""
        row_Z = torch.arange(1, blocks - 1, device=self.draws_HZR.device)
        first_Z, last_Z = torch.zeros_like(row_Z), torch.full_like(row_Z, blocks - 1)
        near_ZL = torch.stack([first_Z, last_Z, row_Z - 1, row_Z, row_Z + 1], dim=1)
        looks_HZL = torch.cat([near_ZL.expand(self.heads, -1, -1), self.plan(blocks)], dim=2)
        new_Z = torch.ones_like(row_Z, dtype=torch.bool)
        beside = (row_Z - 1 != first_Z, new_Z, row_Z + 1 != last_Z)
        once_ZL = torch.stack([new_Z, new_Z, *beside, *[new_Z] * self.random], dim=1)
        return looks_HZL, once_ZL

    def plan(self, blocks: int) -> Tensor:
        """The random blocks of block rows 1 .. blocks - 2, (H, Z, R), by Floyd's sampling.

        A row draws from the blocks after its neighbours, wrapping round to those before them.
        """
        middle = blocks - 2
        row_Z = torch.arange(1, blocks - 1, device=self.draws_HZR.device)
        free_Z = middle - 3 + (row_Z == 1).long() + (row_Z == middle).long()
        picks: list[Tensor] = []
        for i, draw_HZ in enumerate(self.draws_HZR[:, :middle].unbind(2)):
            top_Z = free_Z - self.random + i
            pick_HZ = draw_HZ % (top_Z + 1)
            for earlier_HZ in picks[:i]:
                pick_HZ = torch.where(pick_HZ == earlier_HZ, top_Z, pick_HZ)
            picks.append(pick_HZ)
        if not picks:
            return self.draws_HZR[:, :middle]
        start_Z1 = (row_Z + 1).clamp(max=middle)[:, None]  # counted from block 1
        return 1 + (start_Z1 + torch.stack(picks, dim=2)) % middle


def _gathered(
    q_GxCK: Tensor, k_ZCK: Tensor, v_ZCK: Tensor, position_GL: Tensor, seen_GxxS: Tensor
) -> Tensor:
    """Attention of G block rows to the blocks at their positions."""
    G, K = len(q_GxCK), q_GxCK.shape[-1]
    position = position_GL.flatten()
    k_GxSK, v_GxSK = (x.index_select(0, position).view(G, 1, -1, K) for x in (k_ZCK, v_ZCK))
    return scaled_dot_product_attention(q_GxCK, k_GxSK, v_GxSK, attn_mask=seen_GxxS)
