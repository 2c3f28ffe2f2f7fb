"""KV sharing: a layer that attends to the keys and values of an earlier one."""

from dataclasses import dataclass, field, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from effattn_cli.attention import Card, Decodable, Input, Unsupported
from effattn_cli.attention.decodable import BORROWED
from effattn_cli.parts.banded import banded
from effattn_cli.parts.exact import exact, one_query


@dataclass(frozen=True)
class Lent:
    """The KV cache of another layer, which already holds the coming tokens too."""

    k_BGRK: Tensor = field(metadata=BORROWED)
    v_BGRK: Tensor = field(metadata=BORROWED)
    length: int


@final
class KVSharing(Decodable[Lent]):
    """Exact attention whose queries attend to the keys and values of an earlier layer.

    out_h = softmax(q_h k_g^T / sqrt K) v_g with g = h // (H / G), k and v being those of an earlier
    layer (You Only Cache Once, Sun et al. 2024, arXiv:2405.05254; as in Gemma 4 and Mistral Large
    4). Only queries are projected, and the layer has no KV cache of its own. With a window a query
    sees the last W keys of that layer, or W // 2 on either side where it is not causal, as in
    `sliding-window`.
    """

    card = Card(
        title="KV sharing",
        families=("exact",),
        paper="arXiv:2405.05254",
        year=2024,
        time="N^2",
        memory="N",
        state="0",
        causal="optional",
        kind="own mechanism",
        reach=("window",),
        borrows=True,
        deployed=("Gemma 3n", "Gemma 4", "Mistral Large 4"),
        aliases=("yoco", "cross-layer-kv", "kv-reuse"),
        notes=(
            "the keys and values are drawn when the layer is made, in place of an earlier layer's,"
            " and are the same for all sequences; in decoding each has a copy, which is read",
            "what the earlier layer keeps is counted there",
            "with a window the work grows as N w",
            "kv_heads: at most a quarter of the heads unless given",
        ),
        exempt={
            "causality": "the first token sees one key, whose value it gets whatever it asks for"
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        window: int | None = None
        """Keys that a query sees; all unless given. The window layers of Gemma 3n see 512."""

    kv_share = 4
    inputs: ClassVar = {"q": Input()}

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.window is not None and config.window < 1:
            raise Unsupported(f"window {config.window} is below 1")
        self.window = config.window
        self.horizon = config.window or self.horizon
        shape = 1, self.kv_heads, config.tokens, self.head_dim
        self.k_1GTK: Tensor
        self.v_1GTK: Tensor
        self.register_buffer("k_1GTK", torch.randn(shape), persistent=False)
        self.register_buffer("v_1GTK", torch.randn(shape), persistent=False)

    def attend(self, q_BHTK: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        B, _, T, _ = q_BHTK.shape
        k_BGTK, v_BGTK = (x[:, :, :T].expand(B, -1, -1, -1) for x in (self.k_1GTK, self.v_1GTK))
        if self.window is None:
            return exact(q_BHTK, k_BGTK, v_BGTK, valid_BT, causal=self.causal)
        if self.causal:  # right padding: no real query sees it
            return banded(q_BHTK, k_BGTK, v_BGTK, before=self.window - 1, after=0)
        reach = self.window // 2
        return banded(q_BHTK, k_BGTK, v_BGTK, valid_BT, before=reach, after=reach)

    def init_state(self, batch: int, context: int) -> Lent:
        first = self._first(context + 1)
        if context < self.config.tokens:
            k_BGRK, v_BGRK = (
                x[:, :, first:].repeat(batch, 1, 1, 1) for x in (self.k_1GTK, self.v_1GTK)
            )
        else:
            shape = batch, self.kv_heads, context + 1 - first, self.head_dim
            k_BGRK, v_BGRK = (self.blank(*shape, random=True) for _ in range(2))
        return Lent(k_BGRK, v_BGRK, context - first)

    def step(self, q_BHK: Tensor, state: Lent) -> tuple[Tensor, Lent]:
        state = replace(state, length=state.length + 1)
        first = self._first(state.length)
        k_BGSK, v_BGSK = (x[:, :, first : state.length] for x in (state.k_BGRK, state.v_BGRK))
        return one_query(q_BHK, k_BGSK, v_BGSK), state

    def _first(self, tokens: int) -> int:
        """The first of `tokens` tokens that the last one sees."""
        return 0 if self.window is None else max(0, tokens - self.window)
