"""Gated DeltaNet: the delta rule with a decay."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from effattn_cli.attention import Card, Input, Unsupported, decay, gate, repeat_kv
from effattn_cli.parts.delta_rule import delta_rule, step_sized_delta_step, unit
from effattn_cli.parts.recurrent import (
    Convolved,
    Decay,
    Memory,
    at_least_one,
    key_heads_of,
    normed,
)


@final
class GatedDeltaNet(Convolved):
    """Decays the state, then replaces the value stored under a key by the new one.

    S_t = a_t (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T and y_t = q_t^T S_t / sqrt K, with q and k
    L2-normalised after a short convolution and SiLU, b = sigmoid(x W), a = exp(-e^A
    softplus(x W' + c)), and out = RMSNorm(y) silu(x W'') in each head (Gated Delta Networks, Yang,
    Kautz & Hatamizadeh 2024, arXiv:2412.06464; grouped value heads as in Qwen3-Next).
    """

    card = Card(
        title="Gated DeltaNet",
        families=("linear",),
        paper="arXiv:2412.06464",
        year=2024,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        deployed=("Qwen3-Next", "Qwen3.5", "Olmo-Hybrid", "Qwen4-Exp"),
        aliases=("gdn", "gated-delta", "gated-delta-net"),
        notes=(
            "heads are those of the values; in Qwen3-Next two of them share a query and a key",
            "gate and norm of the output belong to the core",
        ),
    )
    inputs: ClassVar = {
        "q": Input("key_heads"),
        "k": Input("key_heads"),
        "v": Input(width="value_width"),
        "decay": Input(width=None, sample=decay),
        "beta": Input(width=None, sample=gate),
        "gate": Input(width="value_width"),
    }
    convolved = ("q", "k", "v")

    @dataclass(frozen=True, kw_only=True)
    class Config(Convolved.Config):
        key_heads: int | None = None
        """Heads of queries and keys, as many as of values unless given; 16 for 32 in Qwen3-Next."""
        value_width: int | None = None
        """Width of a value, that of a key unless given; twice that in Olmo-Hybrid."""
        negative: bool = False
        """Whether b goes up to 2, so that the state can change its sign, as in Olmo-Hybrid."""
        gate: Literal["silu", "sigmoid"] = "silu"
        """The activation of the output's gate; sigmoid in Qwen4-Exp."""
        epsilon: float = 1e-6
        """Added to the mean square in the norm of the output; 1e-5 in Olmo-Hybrid."""

    def __init__(self, config: Config) -> None:
        self.key_heads = key_heads_of(config.heads, config.key_heads)
        self.value_width = at_least_one("value_width", config.value_width, config.head_width)
        if config.gate not in {"silu", "sigmoid"}:
            raise Unsupported(f"gate {config.gate!r} is neither silu nor sigmoid")
        super().__init__(config)
        self.epsilon = config.epsilon
        self.max_beta = 2 if config.negative else 1
        self.gated = silu if config.gate == "silu" else torch.sigmoid
        self.decay = None if config.core else Decay(self.heads)
        self.norm_V = nn.Parameter(torch.ones(self.value_width))

    def activated(self, name: str, y: Tensor) -> Tensor:
        if name == "beta":
            return self.max_beta * torch.sigmoid(y)
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
        decay_BHT: Tensor,
        beta_BHT: Tensor,
        gate_BHTV: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        q_BGTK = unit(q_BGTK) * self.head_dim**-0.5
        y_BHTV = delta_rule(q_BGTK, unit(k_BGTK), v_BHTV, beta_BHT, decay_BHT)
        return normed(y_BHTV, self.norm_V, self.epsilon) * self.gated(gate_BHTV)

    def step(
        self,
        q_BGK: Tensor,
        k_BGK: Tensor,
        v_BHV: Tensor,
        decay_BH: Tensor,
        beta_BH: Tensor,
        gate_BHV: Tensor,
        state: Memory,
    ) -> tuple[Tensor, Memory]:
        q_BHK, k_BHK = (repeat_kv(unit(x), self.heads) for x in (q_BGK, k_BGK))
        y_BHV, matrix_BHKV = step_sized_delta_step(
            q_BHK * self.head_dim**-0.5, k_BHK, v_BHV, beta_BH, decay_BH, state.matrix_BHKV
        )
        return normed(y_BHV, self.norm_V, self.epsilon) * self.gated(gate_BHV), state.after(
            matrix_BHKV
        )
