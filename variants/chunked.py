"""Chunked attention: causal attention within independent chunks."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from effattn_cli.attention import Card, Decodable, Unsupported
from effattn_cli.parts.blocks import fold, unfold
from effattn_cli.parts.exact import exact, one_query
from effattn_cli.parts.rotary import Rotary


@dataclass(frozen=True)
class Chunk:
    """Decoding state: keys and values of the current chunk, by their position in it."""

    k_BGCK: Tensor
    v_BGCK: Tensor
    length: int  # tokens so far, over all chunks


@final
class ChunkedAttention(Rotary, Decodable[Chunk]):
    """Each query sees the keys of its own chunk up to itself, and nothing before the chunk.

    out_i = softmax over j of (q_i k_j / sqrt K) v_j with C floor(i / C) <= j <= i: block-diagonal
    causal attention, C: tokens per chunk. Llama 4 uses it with rotary positions in three of four
    layers; the fourth has full attention without positions. It is also the local attention of
    Generating Wikipedia by Summarizing Long Sequences (Liu et al. 2018, arXiv:1801.10198).
    """

    grouped = True
    card = Card(
        title="Chunked attention",
        families=("window",),
        paper="arXiv:1801.10198",
        year=2018,
        time="N w",
        memory="N",
        state="w",
        causal="always",
        kind="approximates softmax",
        swap="lossy",
        knobs={"chunk": "N"},
        reach=("chunk",),
        deployed=("Llama 4",),
        aliases=("chunk", "block-local", "block-diagonal"),
        notes=(
            "as in the code of Llama 4, which no paper defines; cited is the nearest earlier one",
            "a query sees half a chunk on average, where a sliding window of that size is always"
            " full; what is in an earlier chunk reaches it through other layers only",
            "Llama 4's norms of q and k, and the layers without positions, belong to the model",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Rotary.Config):
        chunk: int = 256
        """Tokens of a chunk; 8192 in Llama 4. By default as many as sliding-window's window, so
        that the two compare."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.chunk < 1:
            raise Unsupported(f"chunk {config.chunk} is below 1")
        self.chunk = self.period = self.horizon = config.chunk

    def attend(
        self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        # Padding is on the right, so no real query sees it.
        B, _, T, _ = q_BHTK.shape
        rest = T % self.chunk
        outs = []
        if rest < T:
            whole = (fold(x[:, :, : T - rest], self.chunk) for x in (q_BHTK, k_BGTK, v_BGTK))
            outs.append(unfold(exact(*whole, causal=True), B))
        if rest:
            last = (x[:, :, T - rest :] for x in (q_BHTK, k_BGTK, v_BGTK))
            outs.append(exact(*last, causal=True))
        return outs[0] if len(outs) == 1 else torch.cat(outs, dim=2)

    def init_state(self, batch: int, context: int) -> Chunk:
        room = min(self.chunk, max(self.config.tokens, context + 1))
        shape = (batch, self.kv_heads, room, self.head_dim)
        return Chunk(self.blank(*shape, random=True), self.blank(*shape, random=True), context)

    def step(
        self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, state: Chunk
    ) -> tuple[Tensor, Chunk]:
        at = state.length % self.chunk
        state.k_BGCK[:, :, at], state.v_BGCK[:, :, at] = k_BGK, v_BGK
        k_BGSK, v_BGSK = (x[:, :, : at + 1] for x in (state.k_BGCK, state.v_BGCK))
        return one_query(q_BHK, k_BGSK, v_BGSK), replace(state, length=state.length + 1)
