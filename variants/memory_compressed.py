"""Memory-compressed attention: keys and values shortened by a strided convolution."""

from dataclasses import dataclass, replace
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported
from effattn_cli.parts.banded import Ring
from effattn_cli.parts.exact import exact
from effattn_cli.parts.pooling import by_place, convolved, in_order, stretches


@dataclass(frozen=True)
class Memory:
    """Decoding state: the keys and values that a query sees, and the tokens not yet compressed."""

    k_BHRK: Tensor
    v_BHRK: Tensor
    new_k_BHCK: Tensor
    new_v_BHCK: Tensor
    length: int


@final
class MemoryCompressed(Decodable[Ring | Memory]):
    """Compresses every C tokens into one key and value, by a convolution of width and stride C.

    The model's layers alternate between this, softmax(q k'^T / sqrt K) v', and exact attention
    within blocks of tokens, `layer=local` (Generating Wikipedia by Summarizing Long Sequences,
    Liu et al. 2018, arXiv:1801.10198). C: compression.
    """

    card = Card(
        title="Memory-compressed",
        families=("fixed-pattern", "memory"),
        paper="arXiv:1801.10198",
        year=2018,
        time="N^2",
        memory="N",
        state="N",
        causal="optional",
        kind="approximates softmax",
        survey=SurveyRow(complexity="N_c^2", decode=True, classes="FP+M"),
        notes=(
            "time is N^2 / C for the compressed layer, N block_size for the local one; the survey's"
            " N_c^2 (N_c = N / C) is neither, nor what its text derives",
            "each head's keys and values have a convolution of their own, without bias",
            "causal, as in the authors' code: query t sees token 0 as it is and each stretch of C"
            " tokens that ends before t",
            "the last stretch is filled up with zeros; in the authors' code it is dropped",
        ),
        exempt={
            "causality": "nothing leaks, but the first C tokens see token 0 alone, not themselves"
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        compression: int = 3
        """Tokens that become one key and value (k in the paper)."""
        block_size: int = 256
        """Tokens of a block in the local layer."""
        layer: Literal["compressed", "local"] = "compressed"
        """Which of the model's two kinds of layer."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in ("compression", "block_size"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        if config.layer not in {"compressed", "local"}:
            raise Unsupported(f"layer {config.layer!r} is neither compressed nor local")
        self.stride, self.block = config.compression, config.block_size
        self.local, self.horizon = config.layer == "local", config.block_size
        self.period = 1 if self.local else self.stride
        if not self.local:
            self.squeeze_k_HJK, self.squeeze_v_HJK = self._kernel(), self._kernel()

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        if self.local:
            return self._within_blocks(q_BHTK, k_BHTK, v_BHTK, valid_BT)
        valid_BT = None if self.causal else valid_BT  # right padding: no real query sees it
        k_BHZK, v_BHZK = self._squeeze(k_BHTK, v_BHTK, valid_BT)
        if self.causal:  # the queries of stretch z see the first z + 1 slots
            k_BHZK = torch.cat([k_BHTK[:, :, :1], k_BHZK[:, :, :-1]], dim=2)
            v_BHZK = torch.cat([v_BHTK[:, :, :1], v_BHZK[:, :, :-1]], dim=2)
            y_BFZK = exact(by_place(q_BHTK, self.stride), k_BHZK, v_BHZK, causal=True)
            return in_order(y_BFZK, self.stride, q_BHTK.shape[2])
        # Right padding: a stretch holds a real token if its first one is real.
        some_BZ = None if valid_BT is None else valid_BT[:, :: self.stride]
        return exact(q_BHTK, k_BHZK, v_BHZK, some_BZ)

    def _kernel(self) -> nn.Parameter:
        width = self.stride * self.head_dim
        bound = width**-0.5  # initialised like `Conv1d`
        return nn.Parameter(torch.empty(self.heads, width, self.head_dim).uniform_(-bound, bound))

    def _squeeze(
        self, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        k_BHZSK, v_BHZSK = (stretches(x, self.stride, valid_BT=valid_BT) for x in (k_BHTK, v_BHTK))
        return convolved(k_BHZSK, self.squeeze_k_HJK), convolved(v_BHZSK, self.squeeze_v_HJK)

    def _within_blocks(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
    ) -> Tensor:
        B, H, T, K = q_BHTK.shape
        block = min(self.block, T)
        q, k, v = (stretches(x, block).flatten(1, 2) for x in (q_BHTK, k_BHTK, v_BHTK))
        mask = None
        if not self.causal and (valid_BT is not None or T % block):
            valid_BT = torch.ones(B, T, device=q.device).bool() if valid_BT is None else valid_BT
            seen_BxZC = pad(valid_BT, (0, -T % block)).view(B, 1, -1, block)
            seen_BxZC = seen_BxZC | ~seen_BxZC[..., :1]  # a block of padding sees itself: no NaN
            mask = seen_BxZC.expand(-1, H, -1, -1).reshape(B, -1, 1, block)
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return y.view(B, H, -1, K)[:, :, :T]

    def init_state(self, batch: int, context: int) -> Ring | Memory:
        def kept(slots: int) -> tuple[Tensor, Tensor]:
            shape = (batch, self.heads, slots, self.head_dim)
            return self.blank(*shape, random=True), self.blank(*shape, random=True)

        if self.local:
            return Ring(*kept(self.block), length=context % self.block, always=0)
        room = 1 + max(self.config.tokens, context + 1) // self.stride
        return Memory(*kept(room), *kept(self.stride), length=context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Ring | Memory
    ) -> tuple[Tensor, Ring | Memory]:
        if isinstance(state, Ring):  # it wraps around at the end of a block
            state = replace(state, length=state.length % self.block).append(k_BHK, v_BHK)
            return state.attend(q_BHK), state
        seen, position = 1 + state.length // self.stride, state.length % self.stride
        state.new_k_BHCK[:, :, position], state.new_v_BHCK[:, :, position] = k_BHK, v_BHK
        if state.length == 0:
            state.k_BHRK[:, :, 0], state.v_BHRK[:, :, 0] = k_BHK, v_BHK
        kept = state.k_BHRK[:, :, :seen], state.v_BHRK[:, :, :seen]
        y_BHxK = exact(q_BHK.unsqueeze(2), *kept)
        if position == self.stride - 1:
            made = self._squeeze(state.new_k_BHCK, state.new_v_BHCK)
            state.k_BHRK[:, :, seen], state.v_BHRK[:, :, seen] = (x.squeeze(2) for x in made)
        return y_BHxK.squeeze(2), replace(state, length=state.length + 1)
