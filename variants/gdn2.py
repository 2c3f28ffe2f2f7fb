"""Gated DeltaNet-2: the delta rule with separate erase and write gates per channel."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Input, decay, gate
from effattn_cli.parts.delta_rule import channel_delta_rule, delta_step, unit
from effattn_cli.parts.recurrent import (
    Convolved,
    Decay,
    Memory,
    at_least_one,
    key_heads_of,
    low_rank,
    normed,
)


@final
class GatedDeltaNet2(Convolved):
    """Decays each channel separately, erases the value stored under a key, and writes the new one.

    S_t = (I - k_t (b_t o k_t)^T) Diag(a_t) S_(t-1) + k_t (w_t o v_t)^T and y_t = S_t^T q_t / sqrt
    K, with q and k L2-normalised after a short convolution and SiLU, the erase and write gates
    b = sigmoid(x W) and w = sigmoid(x W'), log a = -e^A softplus(x U U' + c) in each channel, and
    out = RMSNorm(y) sigmoid(x G G' + c') in each head (Gated DeltaNet-2, Hatamizadeh, Choi & Kautz
    2026, arXiv:2605.22791).
    """

    card = Card(
        title="Gated DeltaNet-2",
        families=("linear",),
        paper="arXiv:2605.22791",
        year=2026,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        aliases=("gdn-2", "gated-deltanet-2", "gated-delta-2"),
        notes=(
            "heads are those of the values, of which some can share a query, a key, a decay and a"
            " gate to erase",
            "gate and norm of the output belong to the core",
        ),
    )
    inputs: ClassVar = {
        "q": Input("key_heads"),
        "k": Input("key_heads"),
        "v": Input(width="value_width"),
        "decay": Input("key_heads", sample=decay),
        "erase": Input("key_heads", sample=gate),
        "write": Input(width="value_width", sample=gate),
        "gate": Input(width="value_width"),
    }
    convolved = ("q", "k", "v")

    @dataclass(frozen=True, kw_only=True)
    class Config(Convolved.Config):
        key_heads: int | None = None
        """Heads of queries and keys, as many as of values unless given."""
        value_width: int | None = None
        """Width of a value, that of a key unless given."""
        negative: bool = False
        """Whether b goes up to 2, so that the state can change its sign."""

    def __init__(self, config: Config) -> None:
        self.key_heads = key_heads_of(config.heads, config.key_heads)
        self.value_width = at_least_one("value_width", config.value_width, config.head_width)
        super().__init__(config)
        self.max_erase = 2 if config.negative else 1
        self.decay = None if config.core else Decay(self.key_heads, self.head_dim)
        self.norm_V = nn.Parameter(torch.ones(self.value_width))

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        rank = self.value_width
        return super().make_projections(dim) | {
            "decay": low_rank(dim, rank, self.key_heads * self.head_dim),
            "gate": low_rank(dim, rank, self.heads * rank, bias=True),
        }

    def activated(self, name: str, y: Tensor) -> Tensor:
        if name == "decay":
            assert self.decay is not None
            made: Tensor = self.decay(y)
            return made
        if name in {"erase", "write"}:
            return torch.sigmoid(y) * (self.max_erase if name == "erase" else 1)
        return y

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """The values of the heads that share a key are concatenated: one product covers them."""
        return self.key_heads, self.head_dim, self.heads // self.key_heads * self.value_width

    def attend(
        self,
        q_BGTK: Tensor,
        k_BGTK: Tensor,
        v_BHTV: Tensor,
        decay_BGTK: Tensor,
        erase_BGTK: Tensor,
        write_BHTV: Tensor,
        gate_BHTV: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        q_BGTK, k_BGTK = unit(q_BGTK) * self.head_dim**-0.5, unit(k_BGTK)
        new_BGRTV = (v_BHTV * write_BHTV).unflatten(1, (self.key_heads, -1))
        new_BGTE = new_BGRTV.transpose(2, 3).flatten(3)
        y_BGTE = channel_delta_rule(q_BGTK, k_BGTK * erase_BGTK, k_BGTK, new_BGTE, decay_BGTK)
        y_BGTRV = y_BGTE.unflatten(3, (-1, self.value_width))
        y_BHTV = y_BGTRV.transpose(2, 3).flatten(1, 2)
        return normed(y_BHTV, self.norm_V, 1e-5) * torch.sigmoid(gate_BHTV)

    def step(
        self,
        q_BGK: Tensor,
        k_BGK: Tensor,
        v_BHV: Tensor,
        decay_BGK: Tensor,
        erase_BGK: Tensor,
        write_BHV: Tensor,
        gate_BHV: Tensor,
        state: Memory,
    ) -> tuple[Tensor, Memory]:
        q_BGK, k_BGK = unit(q_BGK) * self.head_dim**-0.5, unit(k_BGK)
        new_BGE = (v_BHV * write_BHV).unflatten(1, (self.key_heads, -1)).flatten(2)
        y_BGE, matrix_BGKE = delta_step(
            q_BGK, k_BGK * erase_BGK, k_BGK, new_BGE, decay_BGK, state.matrix_BHKV
        )
        y_BHV = y_BGE.unflatten(2, (-1, self.value_width)).flatten(1, 2)
        y_BHV = normed(y_BHV, self.norm_V, 1e-5) * torch.sigmoid(gate_BHV)
        return y_BHV, state.after(matrix_BGKE)
