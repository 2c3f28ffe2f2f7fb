"""Softmax attention, unfused."""

from typing import final

import torch
from torch import Tensor

from effattn_cli.attention import Card, Decodable
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.precision import lowest
from effattn_cli.parts.rotary import Prepared


@final
class Softmax(Prepared, Decodable[Cache]):
    """Exact attention in three eager steps: all N x N scores, their softmax, the product with v.

    out = softmax(q k^T / sqrt K) v (Vaswani et al. 2017, arXiv:1706.03762). This is the baseline of
    the survey's efficient variants; fused kernels (`sdpa`) came later.
    """

    grouped = True
    card = Card(
        title="Softmax attention",
        families=("exact",),
        paper="arXiv:1706.03762",
        year=2017,
        time="N^2",
        memory="N^2",
        state="N",
        causal="optional",
        kind="exact",
        swap="exact",
        aliases=("eager", "naive", "vanilla", "math"),
        lra=54.39,
        notes=("under torch.compile, Inductor may put a fused kernel in its place",),
    )

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        hidden = None
        if self.causal:  # right padding: no real query sees it
            T = q_BHTK.shape[2]
            hidden = torch.ones(T, T, dtype=torch.bool, device=q_BHTK.device).triu_(1)
        elif valid_BT is not None:
            hidden = ~valid_BT[:, None, None, None, :]
        return _attention(q_BHTK, k_BHTK, v_BHTK, hidden)

    def init_state(self, batch: int, context: int) -> Cache:
        return Cache.init(self, batch, context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Cache
    ) -> tuple[Tensor, Cache]:
        state = state.append(k_BHK, v_BHK)
        k_BGSK, v_BGSK = state.k_BGRK[:, :, : state.length], state.v_BGRK[:, :, : state.length]
        return _attention(q_BHK.unsqueeze(2), k_BGSK, v_BGSK).squeeze(2), state


def _attention(
    q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, hidden: Tensor | None = None
) -> Tensor:
    """The query heads of a group become rows of one product, so that k and v are not repeated."""
    B, H, T, K = q_BHTK.shape
    G, S = k_BGSK.shape[1:3]
    q_BGRK = (q_BHTK * K**-0.5).reshape(B, G, -1, K)
    scores_BGQTS = (q_BGRK @ k_BGSK.mT).view(B, G, -1, T, S)
    if hidden is not None:
        scores_BGQTS = scores_BGQTS.masked_fill_(hidden, lowest(scores_BGQTS))
    weights_BGRS = scores_BGQTS.softmax(-1).view(B, G, -1, S)
    return (weights_BGRS @ v_BGSK).view(B, H, T, K)
