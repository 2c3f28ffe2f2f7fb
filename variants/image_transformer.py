"""Image Transformer: blocks of queries share a memory of nearby pixels."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported
from effattn_cli.parts.blocks import blocked_causal, even
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.exact import exact
from effattn_cli.parts.lse_merge import Part, hide, union


@final
class ImageTransformer(Decodable[Cache]):
    """Each query sees its block of B tokens up to itself, and a memory shared by the block.

    1-D local: the memory is the M tokens before the block. 2-D local, for images generated block by
    block: the memory is the block to the left and the three above, with S blocks per row (Image
    Transformer, Parmar et al. 2018, arXiv:1802.05751). B: block, M: memory, S: across.
    """

    card = Card(
        title="Image Transformer",
        families=("fixed-pattern",),
        paper="arXiv:1802.05751",
        year=2018,
        time="N m",
        memory="N",
        state="m",
        causal="always",
        kind="approximates softmax",
        swap="lossy",
        knobs={"memory": "N"},
        reach=("block", "memory"),
        survey=SurveyRow(complexity="N m", decode=True, classes="FP"),
        notes=(
            "2-D: tokens come in the order in which the paper makes them, block after block; its"
            " memory reaches any number of pixels up and aside, here one block, as tensor2tensor's",
            "the survey's text has memory blocks that do not overlap; in the paper they do",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        block: int = 256
        """Queries of a block (l_q in the paper)."""
        memory: int = 256
        """1-D: the tokens before its block that a query sees (l_m); tensor2tensor has a block."""
        across: int | None = None
        """2-D in place of 1-D: this many blocks make a row of the image."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.block < 1:
            raise Unsupported(f"block {config.block} is below 1")
        if config.memory < 0:
            raise Unsupported(f"memory {config.memory} is below 0")
        if config.across is not None and config.across < 2:
            raise Unsupported(f"across {config.across} is below 2")
        self.block, self.across = config.block, config.across or 0
        self.memory = (self.across + 1) * self.block if self.across else config.memory
        self.period = self.block * max(1, self.across)
        self.horizon = self.memory + self.block

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        if not self.across:  # right padding: no real query sees it
            return blocked_causal(q_BHTK, k_BHTK, v_BHTK, block=self.block, memory=self.memory)
        T = q_BHTK.shape[2]
        q_BHTK, k_BHTK, v_BHTK = (even(x, self.block) for x in (q_BHTK, k_BHTK, v_BHTK))
        blocks = q_BHTK.shape[2] // self.block
        parts = [Part(blocks=blocks, causal=True)]
        column_Z = torch.arange(blocks, device=q_BHTK.device) % self.across
        first_Z, last_Z = column_Z == 0, column_Z == self.across - 1
        for back, none_Z in (
            (1, first_Z),
            (self.across - 1, last_Z),
            (self.across, None),
            (self.across + 1, first_Z),
        ):
            span = back * self.block
            if back < blocks:
                mask = None
                if none_Z is not None:
                    mask = hide(none_Z[back:].repeat(len(q_BHTK)), q_BHTK)[:, None, None, None]
                    mask = mask.expand(-1, 1, 1, self.block)
                parts.append(Part((span, None), (0, -span), blocks=blocks - back, mask=mask))
        return union(q_BHTK, [(k_BHTK, v_BHTK)], parts)[:, :, :T]

    def init_state(self, batch: int, context: int) -> Cache:
        """The memory, then the current block so far."""
        shape = (batch, self.heads, self.memory + self.block, self.head_dim)
        return Cache(self.blank(*shape, random=True), self.blank(*shape, random=True), context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Cache
    ) -> tuple[Tensor, Cache]:
        block, rest = divmod(state.length, self.block)
        position, kept = self.memory + rest, (state.k_BGRK, state.v_BGRK)
        for x_BHRK, new_BHK in zip(kept, (k_BHK, v_BHK), strict=True):
            x_BHRK[:, :, position] = new_BHK
        first = max(0, self.memory - block * self.block)  # nothing comes before the first token
        spans = [slice(max(first, i), max(first, j)) for i, j in self._seen(block, position + 1)]
        k_BHSK, v_BHSK = (_taken(x_BHRK, spans) for x_BHRK in kept)
        y_BHK = exact(q_BHK.unsqueeze(2), k_BHSK, v_BHSK).squeeze(2)
        if rest == self.block - 1:  # the block becomes memory
            kept = (kept[0].roll(-self.block, dims=2), kept[1].roll(-self.block, dims=2))
        return y_BHK, Cache(*kept, state.length + 1)

    def _seen(self, block: int, end: int) -> list[tuple[int, int]]:
        """The spans of the state that a query of the block sees."""
        if not self.across:
            return [(0, end)]
        column = block % self.across
        inner, last = int(column > 0), int(column == self.across - 1)
        above = self.block * (1 - inner), self.block * (3 - last)
        return [above, (self.memory - self.block * inner, end)]


def _taken(x_BHRK: Tensor, spans: list[slice]) -> Tensor:
    parts = [x_BHRK[:, :, span] for span in spans]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
