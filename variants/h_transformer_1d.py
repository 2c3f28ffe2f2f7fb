"""H-Transformer-1D: hierarchical attention."""

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from effattn_cli.attention import Card, Decodable, Unsupported
from effattn_cli.parts.hierarchy import both_ways
from effattn_cli.parts.hierarchy_causal import backwards
from effattn_cli.parts.precision import wide


@dataclass(frozen=True)
class Pyramid:
    """Per level, the means of its last two blocks of C groups; the groups of level 0 are tokens.

    They form a ring buffer: group j is at j mod 2 C.
    """

    k_BHLRK: Tensor
    v_BHLRK: Tensor
    length: int


@final
class HTransformer1D(Decodable[Pyramid]):
    """Sees near tokens individually, and farther ones in groups that grow with the distance.

    Blocks of level l have C groups of 2^l tokens; l(i, j) is the lowest level at which the blocks
    of i and j are the same or neighbours. out_i = sum over j of a_ij v_j / sum over j of a_ij,
    a_ij = exp(q_I k_J / sqrt K) with q_I and k_J the means over the groups of level l(i, j) that
    contain i and j; so values are summed only once per group (H-Transformer-1D, Zhu and Soricut
    2021, arXiv:2107.11906). C: rank. In the causal form, q_I is q_i, and j <= i.
    """

    card = Card(
        title="H-Transformer-1D",
        families=("hierarchical",),
        paper="arXiv:2107.11906",
        year=2021,
        time="N log N",
        memory="N",
        state="log N",
        causal="optional",
        kind="approximates softmax",
        swap="lossy",
        knobs={"rank": "N"},
        aliases=("h-transformer", "hierarchical", "h-attention"),
        notes=(
            "time is N where it is not causal, as in the paper",
            "causal, queries are not averaged, for a mean would know of later tokens: N log N; the"
            " authors' code lets the first query of a group stand for all of them, and stays at N",
            "causal as not, the blocks beside a query's own are seen at each level, less what a"
            " lower level has shown, as in the authors' code",
            "lengths need be no power of 2: a group that the end or padding cuts is the mean of"
            " what is there, and weighs as much as that",
            "without the authors' bias by relative position within a level",
        ),
        exempt={
            "growth": "one form takes N operations and the causal one N log N: a card has one order"
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        rank: int = 16
        """Groups of a block at each level (N_r in the paper, 16 there); an even number."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.rank < 2 or config.rank % 2:
            raise Unsupported(f"rank {config.rank} is no even number from 2 on")
        self.rank = self.period = config.rank

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        if self.causal:  # right padding: no real query sees it
            return backwards(q_BHTK, k_BHTK, v_BHTK, block=self.rank)
        return both_ways(q_BHTK, k_BHTK, v_BHTK, valid_BT, block=self.rank)

    def init_state(self, batch: int, context: int) -> Pyramid:
        room, levels = max(self.config.tokens, context + 1), 1
        while self.rank * 2**levels < room:
            levels += 1
        shape = (batch, self.heads, levels, 2 * self.rank, self.head_dim)
        return Pyramid(self.blank(*shape, random=True), self.blank(*shape, random=True), context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Pyramid
    ) -> tuple[Tensor, Pyramid]:
        kept, at = (state.k_BHLRK, state.v_BHLRK), state.length
        for x_BHLRK, new_BHK in zip(kept, (k_BHK, v_BHK), strict=True):
            x_BHLRK[:, :, 0, at % (2 * self.rank)] = new_BHK
            self._complete(x_BHLRK, at + 1)
        rows, shifts = self._seen(at, kept[0].shape[2])
        k_BHSK, v_BHSK = (
            torch.cat([x_BHLRK[:, :, level, row] for level, row in rows], dim=2) for x_BHLRK in kept
        )
        logits_BHxS = wide((q_BHK * self.head_dim**-0.5).unsqueeze(2) @ k_BHSK.mT)
        shift_S = torch.tensor(shifts, dtype=logits_BHxS.dtype, device=q_BHK.device)
        weight_BHxS = (logits_BHxS + shift_S).softmax(-1).to(v_BHSK.dtype)
        return (weight_BHxS @ v_BHSK).squeeze(2), replace(state, length=at + 1)

    def _complete(self, x_BHLRK: Tensor, tokens: int) -> None:
        """Adds the means of the groups that end after `tokens` tokens; no step reads them yet."""
        ring, level = 2 * self.rank, 1
        while level < x_BHLRK.shape[2] and tokens % 2**level == 0:
            group = tokens // 2**level - 1
            first = 2 * group % ring  # of the two groups that it averages
            pair_BHsK = wide(x_BHLRK[:, :, level - 1, first : first + 2])
            x_BHLRK[:, :, level, group % ring] = pair_BHsK.mean(2).to(x_BHLRK.dtype)
            level += 1

    def _seen(self, at: int, levels: int) -> tuple[list[tuple[int, slice]], list[float]]:
        """Levels and rows that the token sees, and the log of how many tokens a row stands for."""
        C = self.rank
        block, position = divmod(at, C)
        own = block % 2 * C
        rows = [(0, slice(own, own + position + 1))]
        for level in range(levels):
            block, position = divmod(at, C * 2**level)
            if block:
                before = (block - 1) % 2 * C
                near = (
                    level and 2 * position < C * 2**level
                )  # the near half is seen at the level below
                rows.append((level, slice(before, before + (C // 2 if near else C))))
        shifts = [level * math.log(2) for level, row in rows for _ in range(row.stop - row.start)]
        return rows, shifts
