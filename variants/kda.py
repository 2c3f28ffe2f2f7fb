"""Kimi Delta Attention: the delta rule with a decay per channel."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Input, Unsupported, decay, gate, repeat_kv
from effattn_cli.parts.delta_rule import step_sized_delta_rule, step_sized_delta_step, unit
from effattn_cli.parts.recurrent import Convolved, Decay, Memory, key_heads_of, low_rank, normed

EPSILON = 1e-5  # of the normalisation, as in Kimi Linear


@final
class KimiDeltaAttention(Convolved):
    """Decays each channel separately, then replaces the value stored under a key by the new one.

    S_t = (I - b_t k_t k_t^T) Diag(a_t) S_(t-1) + b_t k_t v_t^T and y_t = S_t^T q_t / sqrt K, with q
    and k L2-normalised after a short convolution and SiLU, b = sigmoid(x W), log a = -e^A
    softplus(x U U' + c) in each channel, and out = RMSNorm(y) sigmoid(x G G') in each head (Kimi
    Linear, Kimi Team 2025, arXiv:2510.26692).
    """

    card = Card(
        title="Kimi Delta Attention",
        families=("linear",),
        paper="arXiv:2510.26692",
        year=2025,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        deployed=("Kimi Linear", "Kimi-K3", "Ling-3.0-Flash", "GLM-5.3-Flash"),
        aliases=("kimi-delta", "kimi-linear"),
        notes=(
            "heads are those of the values, of which some can share a query and a key",
            "gate and norm of the output belong to the core",
        ),
    )
    inputs: ClassVar = {
        "q": Input("key_heads"),
        "k": Input("key_heads"),
        "v": Input(),
        "decay": Input(sample=decay),
        "beta": Input(width=None, sample=gate),
        "gate": Input(),
    }
    convolved = ("q", "k", "v")

    @dataclass(frozen=True, kw_only=True)
    class Config(Convolved.Config):
        key_heads: int | None = None
        """Heads of queries and keys, as many as of values unless given."""
        lowest: float | None = None
        """The least that log a can be: log a = lowest sigmoid(e^A (x U U' + c)), the safe gate;
        -5 in Ling-3.0."""
        full_rank: Literal["none", "gate", "both"] = "none"
        """Whether the output's gate has one projection in place of two, as in Kimi-K3, or the decay
        has too, as in Ling-3.0."""

    def __init__(self, config: Config) -> None:
        self.key_heads = key_heads_of(config.heads, config.key_heads)
        if config.lowest is not None and not config.lowest < 0:
            raise Unsupported(f"lowest {config.lowest} is not below 0")
        if config.full_rank not in {"none", "gate", "both"}:
            raise Unsupported(f"full_rank {config.full_rank!r} is not none, gate or both")
        self.full_rank = config.full_rank
        super().__init__(config)
        self.decay = None if config.core else Decay(self.heads, self.head_dim, config.lowest)
        self.norm_V = nn.Parameter(torch.ones(self.head_dim))

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        made, numbers = super().make_projections(dim), self.heads * self.head_dim
        narrow = {"none": ("decay", "gate"), "gate": ("decay",), "both": ()}[self.full_rank]
        return made | {name: low_rank(dim, self.head_dim, numbers) for name in narrow}

    def activated(self, name: str, y: Tensor) -> Tensor:
        if name == "beta":
            return torch.sigmoid(y)
        if name == "decay":
            assert self.decay is not None
            made: Tensor = self.decay(y)
            return made
        return y

    def attend(
        self,
        q_BGTK: Tensor,
        k_BGTK: Tensor,
        v_BHTV: Tensor,
        decay_BHTK: Tensor,
        beta_BHT: Tensor,
        gate_BHTV: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        q_BHTK, k_BHTK = (repeat_kv(unit(x), self.heads) for x in (q_BGTK, k_BGTK))
        q_BHTK = q_BHTK * self.head_dim**-0.5
        y_BHTV = step_sized_delta_rule(q_BHTK, k_BHTK, v_BHTV, beta_BHT, decay_BHTK)
        return normed(y_BHTV, self.norm_V, EPSILON) * torch.sigmoid(gate_BHTV)

    def step(
        self,
        q_BGK: Tensor,
        k_BGK: Tensor,
        v_BHV: Tensor,
        decay_BHK: Tensor,
        beta_BH: Tensor,
        gate_BHV: Tensor,
        state: Memory,
    ) -> tuple[Tensor, Memory]:
        q_BHK, k_BHK = (repeat_kv(unit(x), self.heads) for x in (q_BGK, k_BGK))
        y_BHV, matrix_BHKV = step_sized_delta_step(
            q_BHK * self.head_dim**-0.5, k_BHK, v_BHV, beta_BH, decay_BHK, state.matrix_BHKV
        )
        return normed(y_BHV, self.norm_V, EPSILON) * torch.sigmoid(gate_BHV), state.after(
            matrix_BHKV
        )
