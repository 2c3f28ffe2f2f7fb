"""All-attention: learned vectors join the tokens as keys and values."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effattn_cli.attention import Card, Decodable, Unsupported
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.exact import exact
from effattn_cli.parts.lse_merge import Part, union


@final
class AllAttention(Decodable[Cache]):
    """One softmax over the tokens and M persistent key-value vectors, which every query sees.

    The vectors are learned, M per head, and take over the role of a feed-forward layer (Augmenting
    Self-attention with Persistent Memory, Sukhbaatar et al. 2019, arXiv:1907.01470).
    """

    card = Card(
        title="All-attention",
        families=("fixed-pattern", "memory"),
        paper="arXiv:1907.01470",
        year=2019,
        time="N^2 + N m",
        memory="N",
        state="N + m",
        causal="optional",
        kind="own mechanism",
        aliases=("persistent-memory",),
        notes=(
            "the paper drops the feed-forward layer that the vectors replace, outside of attention",
            "the authors keep keys and values divided by sqrt K and by sqrt M, and multiply them in"
            " use: the same function, with another learning rate",
            "without their position embeddings and adaptive spans, which are other mechanisms",
        ),
        exempt={
            "growth": "N^2 in the end, but N M for the vectors is still much of it at 16k tokens"
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        vectors: int = 1024
        """Persistent vectors a head (N in the paper); the authors' small model has as many."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.vectors < 1:
            raise Unsupported(f"vectors {config.vectors} is below 1")
        self.k_HMK = nn.Parameter(torch.randn(self.heads, config.vectors, self.head_dim))
        self.v_HMK = nn.Parameter(torch.randn(self.heads, config.vectors, self.head_dim))

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        k_BHMK, v_BHMK = (x.expand(len(q_BHTK), -1, -1, -1) for x in (self.k_HMK, self.v_HMK))
        if self.causal:  # right padding: no real query sees it
            parts = [Part(causal=True), Part(source=1)]
            return union(q_BHTK, [(k_BHTK, v_BHTK), (k_BHMK, v_BHMK)], parts)
        valid_BS = None if valid_BT is None else pad(valid_BT, (self.k_HMK.shape[1], 0), value=True)
        k_BHSK, v_BHSK = torch.cat([k_BHMK, k_BHTK], dim=2), torch.cat([v_BHMK, v_BHTK], dim=2)
        return exact(q_BHTK, k_BHSK, v_BHSK, valid_BS)

    def init_state(self, batch: int, context: int) -> Cache:
        """The persistent vectors, cached as the first tokens."""
        vectors = self.k_HMK.shape[1]
        room = vectors + max(self.config.tokens, context + 1)
        shape = (batch, self.heads, room, self.head_dim)
        k_BHRK, v_BHRK = self.blank(*shape, random=True), self.blank(*shape, random=True)
        k_BHRK[:, :, :vectors], v_BHRK[:, :, :vectors] = self.k_HMK.detach(), self.v_HMK.detach()
        return Cache(k_BHRK, v_BHRK, vectors + context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Cache
    ) -> tuple[Tensor, Cache]:
        state = state.append(k_BHK, v_BHK)
        return state.attend(q_BHK), state
