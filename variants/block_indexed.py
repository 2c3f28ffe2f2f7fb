"""Block-indexed sparse attention: an index selects the blocks worth attending to."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor
from torch.nn.functional import rms_norm

from effattn_cli.attention import Card, Decodable, Input, Unsupported, repeat_kv
from effattn_cli.parts.blocks import even
from effattn_cli.parts.indexed import (
    Indexed,
    IndexedBlocks,
    best_mean,
    best_token,
    choose_blocks,
    highest,
)
from effattn_cli.parts.lse_merge import Part
from effattn_cli.parts.precision import wide
from effattn_cli.parts.selected import exact_until, selected


@final
class BlockIndexed(Indexed, Decodable[IndexedBlocks]):
    """Each kv head attends to its own block and to the blocks with its index head's top tokens.

    I_tz = max a_t b_s over the tokens s of block z, with a query a from each kv head's index head
    and one key b per token; out_t = softmax(q_t k_s^T / sqrt K) v_s over s <= t in t's own block
    and in the `top` - 1 earlier blocks with the highest I_tz (MiniMax Sparse Attention, MiniMax
    2026, arXiv:2606.13392). With pool=mean, I_tz = sum_j relu(a_tj mean b_s), the same for all kv
    heads.
    """

    grouped = True
    card = Card(
        title="Block-indexed sparse attention",
        families=("sparse-indexed",),
        paper="arXiv:2606.13392",
        year=2026,
        time="N^2 + N k",
        memory="N",
        state="N",
        causal="always",
        kind="own mechanism",
        deployed=("MiniMax-M3", "Qwen4-Exp"),
        aliases=("msa", "minimax-sparse", "qsa", "block-sparse-indexed"),
        notes=(
            "time is N^2 for the scores of the index, over block with means, and N top block for"
            " what is attended",
            "the index's projections are buffers: a choice has no gradient, and the loss that"
            " teaches them is the trainer's; its norms have no weights",
            "of equal scores the earlier block is chosen; where all are, attention is exact",
            "with means a query's own block is attended, full or not: in Qwen4-Exp a full one has"
            " to be among the best",
        ),
        exempt={
            "growth": "N^2 in the end, but what is attended is much of the work up to 16k tokens"
        },
    )
    inputs: ClassVar = {
        "q": Input(),
        "k": Input("kv_heads"),
        "v": Input("kv_heads"),
        "index_q": Input("index_heads", "index_width"),
        "index_k": Input(None, "index_width"),
    }

    @dataclass(frozen=True, kw_only=True)
    class Config(Indexed.Config):
        block: int = 128
        """Tokens of a block."""
        top: int = 16
        """Blocks that a query attends: its own among them, but beside them with pool mean."""
        pool: Literal["max", "mean"] = "max"
        """A block is as good as its best token, as in MiniMax-M3; or as the mean of its keys, which
        is normalised and rotated by the position of its first token, as in Qwen4-Exp."""
        index_heads: int | None = None
        """Query heads of the index: one for each kv head, or any number with pool mean."""
        index_width: int = 64
        """Width of a head of the index; 128 in MiniMax-M3, where heads have 128 too."""

    def __init__(self, config: Config) -> None:
        kv_heads = config.kv_heads or self.default_kv_heads(config.heads)
        self.index_heads = kv_heads if config.index_heads is None else config.index_heads
        if config.pool not in {"max", "mean"}:
            raise Unsupported(f"pool {config.pool!r} is not max or mean")
        for name in ("block", "top", "index_width"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        if self.index_heads < 1 or (config.pool == "max" and self.index_heads != kv_heads):
            raise Unsupported(f"index_heads {self.index_heads} is not one for each kv head")
        self.index_width = config.index_width
        self.index_turned = int(config.index_width * config.rotary) // 2 * 2
        super().__init__(config)
        self.block = self.period = config.block
        self.means, self.others = config.pool == "mean", config.top - (config.pool == "max")
        self.whole = self.horizon = (self.others + 1) * self.block  # up to here queries see all

    def _rotated(self, inputs: tuple[Tensor, ...], first: int) -> tuple[Tensor, ...]:
        *kept, q_BITW, k_BTW = inputs
        q_BITW = self.turn_index(unit(q_BITW), first)
        if not self.means:  # a mean key is normalised and rotated once it is complete
            k_BTW = self.turn_index(unit(k_BTW), first)
        return *super()._rotated(tuple(kept), first), q_BITW, k_BTW

    def attend(self, *given: Any) -> Tensor:
        """Padding is on the right, so no real query sees it."""
        q_BHTK, k_BGTK, v_BGTK, q_BITW, k_BTW = given[:5]
        late = partial(self._late, even(q_BITW[:, :, self.whole :], self.block), k_BTW)
        return exact_until(self.whole, q_BHTK, k_BGTK, v_BGTK, block=self.block, late=late)

    def _late(self, q_BITW: Tensor, k_BTW: Tensor, q_BHTK: Tensor, *kv_BGTK: Tensor) -> Tensor:
        score, block = self._scores(k_BTW), self.block
        pick_BGTN = choose_blocks(score, q_BITW, block=block, count=self.others)
        pick_BGTN = pick_BGTN.expand(-1, self.kv_heads, -1, -1)
        k_BHTK, v_BHTK = (repeat_kv(x, self.heads) for x in kv_BGTK)
        own = Part(k=(self.whole, None), blocks=q_BHTK.shape[2] // block, causal=True)
        return selected(q_BHTK, k_BHTK, v_BHTK, pick_BGTN, [own], block=block)

    @torch.no_grad()
    def _scores(self, k_BSW: Tensor) -> Callable[[Tensor, int], Tensor]:
        """The scoring function over blocks of these tokens that `choose_blocks` takes."""
        if not self.means:
            return partial(best_token, wide(k_BSW), self.block)
        k_BSW = wide(k_BSW[:, : k_BSW.shape[1] // self.block * self.block])
        mean_BZW = k_BSW.unflatten(1, (-1, self.block)).mean(2)
        return partial(best_mean, self.turn_index(unit(mean_BZW), 0, step=self.block))

    def init_state(self, batch: int, context: int) -> IndexedBlocks:
        return IndexedBlocks.init(self, batch, context, self.block)

    def step(self, *given: Any) -> tuple[Tensor, IndexedBlocks]:
        q_BHK, k_BGK, v_BGK, q_BIW, k_BW, state = given
        own, state = state.length // self.block, state.append(k_BGK, v_BGK, k_BW)
        pick_N = torch.arange(own, device=q_BHK.device)  # all of them, if they are few enough
        pick_BGN = pick_N.expand(len(q_BHK), self.kv_heads, -1)
        if own > self.others:
            score = self._scores(state.index_BRW[:, : own * self.block])
            pick_BGxN = highest(score(q_BIW.unsqueeze(2), own), self.others)
            pick_BGN = pick_BGxN.squeeze(2).expand(-1, self.kv_heads, -1)
        return state.cache.attend(q_BHK, pick_BGN), state


def unit(x: Tensor) -> Tensor:
    """Divided by its root mean square."""
    return rms_norm(x, x.shape[-1:], eps=1e-6)
