"""Adaptively Sparse Transformer: attention weights that can be exactly 0."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.entmax import entmax
from effattn_cli.parts.precision import wide
from effattn_cli.parts.rows import by_rows

LEAST, MOST = 1.01, 1.99  # range of alpha: next to softmax (1) and sparsemax (2)
ROWS = 256  # queries per block, at least: fewer do not repay entmax's many small steps


@final
class AdaptiveSparseTransformer(Decodable[Cache]):
    """Replaces softmax with alpha-entmax, and each head learns how sparse its weights are.

    out = p v with p_ij = [(alpha - 1) q_i k_j / sqrt K - tau_i]_+^(1 / (alpha - 1)), tau such that
    rows sum to 1, and alpha = 1 + sigmoid(a), a learned: near 1 it is softmax, near 2 sparsemax
    (Adaptively Sparse Transformers, Correia et al. 2019, arXiv:1909.00015).
    """

    card = Card(
        title="Adaptively Sparse Transformer",
        families=("sparse",),
        paper="arXiv:1909.00015",
        year=2019,
        time="N^2",
        memory="N",
        state="N",
        causal="optional",
        kind="own mechanism",
        aliases=("entmax",),
        survey=SurveyRow(complexity="N^2", decode=True, classes="Sparse"),
        notes=(
            "tau by Newton's method on a norm, to rounding, for every alpha: the authors bisect",
            "scores are made a block of queries at a time; training keeps all N x N weights",
            "alpha stays within 1.01 and 1.99",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        alpha: float | None = None
        """One alpha for all heads, as 1.5, in place of those that are learned."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.alpha is not None and not LEAST <= config.alpha <= MOST:
            raise Unsupported(f"alpha {config.alpha} is not within {LEAST} and {MOST}")
        self.fixed = config.alpha
        if config.alpha is None:
            self.alpha_H11 = nn.Parameter(torch.randn(self.heads, 1, 1))

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        alpha = self._alpha()
        return by_rows(
            q_BHTK, k_BHTK, v_BHTK, valid_BT,
            causal=self.causal, logits=self._scores, weigh=lambda x: entmax(x, alpha),
            min_rows=ROWS,
        )  # fmt: skip

    def _scores(self, q_BHCK: Tensor, k_BHSK: Tensor, _: int) -> Tensor:
        return (q_BHCK * self.head_dim**-0.5) @ k_BHSK.mT

    def init_state(self, batch: int, context: int) -> Cache:
        return Cache.init(self, batch, context, heads=self.heads)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Cache
    ) -> tuple[Tensor, Cache]:
        state = state.append(k_BHK, v_BHK)
        k_BHSK, v_BHSK = state.k_BGRK[:, :, : state.length], state.v_BGRK[:, :, : state.length]
        scores_BHxS = (q_BHK * self.head_dim**-0.5).unsqueeze(2) @ k_BHSK.mT
        return (entmax(scores_BHxS, self._alpha()) @ v_BHSK).squeeze(2), state

    def _alpha(self) -> Tensor:
        if self.fixed is not None:
            return wide(self.like).new_full((1, 1, 1), self.fixed)
        return (1 + wide(self.alpha_H11).sigmoid()).clamp(LEAST, MOST)
