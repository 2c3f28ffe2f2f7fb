"""Native Sparse Attention: compressed blocks, the top blocks uncompressed, and a window."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from effattn_cli.attention import Card, Decodable, Input, Unsupported, gate, repeat_kv
from effattn_cli.parts.banded import Ring, banded
from effattn_cli.parts.compressed import Compressor, Cut, Small, coarse, most_important
from effattn_cli.parts.lse_merge import Part
from effattn_cli.parts.selected import BlockCache, exact_until, selected


@dataclass(frozen=True)
class Branches:
    """Decoding state: the cache to select from, the compressed blocks, and a window."""

    cache: BlockCache
    small: Small
    ring: Ring


@final
class NativeSparse(Decodable[Branches]):
    """Three parallel attention branches, weighted by gates of the query's token.

    y = g_cmp A(q, k~, v~) + g_sel A(q, blocks) + g_win A(q, window), A = softmax(q k^T / sqrt K) v,
    each with separate keys and values. k~ and v~ are blocks compressed by an MLP; a group's weights
    on k~ select its `top` blocks, which include the first and the last two (Native Sparse
    Attention, Yuan et al. 2025, arXiv:2502.11089).
    """

    grouped = True
    kv_share = 4
    inputs: ClassVar = {
        "q": Input(),
        **dict.fromkeys(("k_cmp", "v_cmp", "k_sel", "v_sel", "k_win", "v_win"), Input("kv_heads")),
        "gate": Input(width=3, sample=gate),
    }
    card = Card(
        title="Native Sparse Attention",
        families=("learnable-pattern", "sparse-indexed"),
        paper="arXiv:2502.11089",
        year=2025,
        time="N^2",
        memory="N",
        state="N",
        causal="always",
        kind="own mechanism",
        aliases=("native-sparse",),
        notes=(
            "time is N^2 / stride for the compressed blocks, twice: to attend and to choose; and"
            " N (top block + window)",
            "the MLPs have one hidden layer, as wide as a key, with GELU, one of its own for each"
            " kv head; the gates are linear: the paper does not say more than MLP",
            "kv_heads: at most a quarter of the heads unless given; a sixteenth in the paper, whose"
            " keys are 192 wide and values 128",
            "up to top x block tokens all blocks are selected",
            "no model with released weights has it",
        ),
        exempt={
            "growth": "N^2 in the end, but what is selected is most of the work up to 16k tokens"
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        compressed: int = 32
        """Tokens that are compressed to one key and value (l in the paper)."""
        stride: int = 16
        """Tokens from the beginning of one such block to that of the next (d in the paper)."""
        block: int = 64
        """Tokens of a block that is selected or not (l' in the paper)."""
        top: int = 16
        """Blocks that are selected, the first and the last two among them (n in the paper)."""
        window: int = 512
        """Keys of the window."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in ("stride", "window"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        for name in ("compressed", "block"):
            if getattr(config, name) < 1 or getattr(config, name) % config.stride:
                why = f"is not a multiple of stride {config.stride}"
                raise Unsupported(f"{name} {getattr(config, name)} {why}")
        if config.compressed > config.block:
            raise Unsupported(f"compressed {config.compressed} is above block {config.block}")
        if config.top < 3:
            raise Unsupported(f"top {config.top} is below 3: the first block and the last two")
        self.cut = Cut(config.compressed, config.stride, config.block)
        self.block, self.window, self.others = config.block, config.window, config.top - 3
        self.whole = config.top * config.block  # up to here all blocks are selected
        self.period, self.horizon = config.block, max(self.whole, config.window)
        self.press_k = Compressor(self.kv_heads, self.head_dim, self.cut)
        self.press_v = Compressor(self.kv_heads, self.head_dim, self.cut)

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        *tensors, gate_BHT3 = super().project(x_BTD)
        return *tensors, gate_BHT3.sigmoid()

    def attend(self, q_BHTK: Tensor, *inputs: Tensor) -> Tensor:
        """Padding is on the right, so no real query sees it."""
        k_cmp, v_cmp, k_sel, v_sel, k_win, v_win, gate_BHT3 = inputs[:7]
        small = self.press_k(k_cmp), self.press_v(v_cmp)
        of_cmp, of_sel, of_win = torch.split(gate_BHT3, 1, dim=3)
        y_BHTK = of_cmp * coarse(q_BHTK, *small, self.cut)
        y_BHTK = y_BHTK + of_sel * self._selected(q_BHTK, k_sel, v_sel, small[0])
        return y_BHTK + of_win * banded(q_BHTK, k_win, v_win, before=self.window - 1, after=0)

    def _selected(self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, small: Tensor) -> Tensor:
        def late(q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor) -> Tensor:
            first, block, H = self.whole, self.block, q_BHTK.shape[1]
            pick = most_important(q_BHTK, small, self.cut, first=first, count=self.others)
            parts = [
                Part(k=(first, None), blocks=q_BHTK.shape[2] // block, causal=True),
                Part(k=(first - block, -block), blocks=q_BHTK.shape[2] // block),
                Part(k=(0, block)),
            ]
            kv = repeat_kv(k_BGTK, H), repeat_kv(v_BGTK, H)
            return selected(q_BHTK, *kv, pick, parts, block=block)

        return exact_until(self.whole, q_BHTK, k_BGTK, v_BGTK, block=self.block, late=late)

    def init_state(self, batch: int, context: int) -> Branches:
        shape = (batch, self.kv_heads, self.window, self.head_dim)
        k_BGRK, v_BGRK = (self.blank(*shape, random=True) for _ in "kv")
        return Branches(
            BlockCache.init(self, batch, context, self.block),
            Small.init(self, batch, context, self.cut),
            Ring(k_BGRK, v_BGRK, context, always=0),
        )

    def step(self, q_BHK: Tensor, *inputs: Any) -> tuple[Tensor, Branches]:
        k_cmp, v_cmp, k_sel, v_sel, k_win, v_win, gate_BH3, state = inputs
        of_cmp, of_sel, of_win = torch.split(gate_BH3, 1, dim=2)
        t = state.cache.length
        small = state.small.add(self.press_k, self.press_v, k_cmp, v_cmp, t)
        y_BHK, weight_BGxZ = small.attend(q_BHK, self.cut.ended(t + 1))
        cache, ring = state.cache.append(k_sel, v_sel), state.ring.append(k_win, v_win)
        pick_BGN = self.cut.seen(weight_BGxZ, t, self.others)
        y_BHK = of_cmp * y_BHK + of_sel * cache.attend(q_BHK, pick_BGN)
        return y_BHK + of_win * ring.attend(q_BHK), Branches(cache, small, ring)
