"""Forgetting Transformer: softmax attention with a forget gate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from effattn_cli.attention import Card, Decodable, Input, decay, repeat_kv
from effattn_cli.parts.fading import fading, running
from effattn_cli.parts.precision import wide


@dataclass(frozen=True)
class Faded:
    """KV cache and running sums of the log gates; room for R tokens, the first `length` filled."""

    k_BGRK: Tensor
    v_BGRK: Tensor
    sum_BHR: Tensor
    length: int


@final
class Forgetting(Decodable[Faded]):
    """Exact attention whose scores decay with distance, by a forget gate of each token.

    out_i = softmax over j <= i of (q_i k_j / sqrt K + log f_(j+1) + ... + log f_i) v_j with a gate
    f = sigmoid(w x + b) for each head and token (Forgetting Transformer, FoX, Lin et al. 2025,
    arXiv:2503.02130). With f = 1 it is exact attention; with one f for all tokens it is ALiBi.
    """

    grouped = True
    inputs: ClassVar[Mapping[str, Input]] = {
        "q": Input(),
        "k": Input("kv_heads"),
        "v": Input("kv_heads"),
        "gate": Input(width=None, sample=decay),
    }
    card = Card(
        title="Forgetting Transformer",
        families=("dense",),
        paper="arXiv:2503.02130",
        year=2025,
        time="N^2",
        memory="N",
        state="N",
        causal="always",
        kind="own mechanism",
        aliases=("fox", "forgetting-transformer", "forget-gate"),
        notes=(
            "the core takes the logarithm of the gate",
            "without rotary positions, which the paper found to add little",
            "norms of q and k, output gate and shifted keys and values of the paper's Pro block"
            " belong to the block",
            "no query skips what it has forgotten, as a later paper does (arXiv:2504.06949)",
        ),
    )

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        return super().make_projections(dim) | {"gate": nn.Linear(dim, self.heads)}

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        *qkv, gate_BHT = super().project(x_BTD)
        return *qkv, logsigmoid(wide(gate_BHT))

    def attend(
        self,
        q_BHTK: Tensor,
        k_BGTK: Tensor,
        v_BGTK: Tensor,
        gate_BHT: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        # Padding is on the right, so no real query sees it.
        k_BHTK, v_BHTK = (repeat_kv(x, self.heads) for x in (k_BGTK, v_BGTK))
        return fading(q_BHTK, k_BHTK, v_BHTK, gate_BHT)

    def init_state(self, batch: int, context: int) -> Faded:
        room = max(self.config.tokens, context + 1)
        shape = (batch, self.kv_heads, room, self.head_dim)
        k_BGRK, v_BGRK = (self.blank(*shape, random=True) for _ in "kv")
        gate_BHR = logsigmoid(wide(self.blank(batch, self.heads, room, random=True))) / 16
        return Faded(k_BGRK, v_BGRK, running(gate_BHR, 2), context)

    def step(
        self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, gate_BH: Tensor, state: Faded
    ) -> tuple[Tensor, Faded]:
        at, sum_BHR = state.length, state.sum_BHR
        state.k_BGRK[:, :, at], state.v_BGRK[:, :, at] = k_BGK, v_BGK
        sum_BHR[:, :, at] = gate_BH + (sum_BHR[:, :, at - 1] if at else 0)
        k_BGSK, v_BGSK, sum_BHS = (x[:, :, : at + 1] for x in (state.k_BGRK, state.v_BGRK, sum_BHR))
        # The query heads of a group become the queries of one kv head.
        q_BGQK = torch.unflatten(q_BHK, 1, (self.kv_heads, -1)) / math.sqrt(self.head_dim)
        logits_BGQS = wide(q_BGQK @ k_BGSK.mT)
        faded_BHS = (sum_BHS[..., -1:] - sum_BHS).to(logits_BGQS.dtype)
        weight_BGQS = (logits_BGQS + faded_BHS.view_as(logits_BGQS)).softmax(-1)
        out_BGQK = weight_BGQS.to(v_BGSK.dtype) @ v_BGSK
        return out_BGQK.flatten(1, 2), replace(state, length=at + 1)
