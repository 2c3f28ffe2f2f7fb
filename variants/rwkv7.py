"""RWKV-7: a delta rule with separate keys for erasing and writing."""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, normalize

from effattn_cli.attention import Card, Input, Unsupported, decay, gate
from effattn_cli.parts.delta_rule import generalized_delta_rule, generalized_delta_step
from effattn_cli.parts.precision import wide
from effattn_cli.parts.recurrent import Memory
from effattn_cli.parts.token_shift import Shifted


@final
class RWKV7(Shifted):
    """Decays each channel separately, erases by one key and writes by another.

    S_t = S_(t-1) Diag(w_t) - (S_(t-1) z_t)(z_t o a_t)^T + v_t k_t^T, y_t = S_t r_t and
    out = (GroupNorm(y) + (sum of r o k o p) v) o g, with inputs computed from x' = x_t + m o
    (x_(t-1) - x_t), with a separate m for each input: log w = -e^(-1/2) sigmoid(tanh(x' U) U' + c),
    a = sigmoid(x' A A' + c'), g = sigmoid(x' G) G', z = k o n divided by its length, and k o (1 +
    (a - 1) o s) in place of k (RWKV-7 "Goose", Peng et al. 2025, arXiv:2503.14456).
    """

    card = Card(
        title="RWKV-7",
        families=("linear",),
        paper="arXiv:2503.14456",
        year=2025,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        deployed=("RWKV-7",),
        aliases=("goose", "rwkv-7"),
        notes=(
            "the residual of the values to those of the first layer is the model's",
            "keys made from k, the bonus of a token to itself, norm and gate belong to the core",
        ),
    )
    inputs: ClassVar = {
        "r": Input(),
        "decay": Input(sample=decay),
        "k": Input(),
        "v": Input(),
        "rate": Input(sample=gate),
        "gate": Input(),
    }
    powers: ClassVar = {"r": 0.2, "decay": 0.9, "k": 0.7, "v": 0.7, "rate": 0.9, "gate": 0.2}

    @dataclass(frozen=True, kw_only=True)
    class Config(Shifted.Config):
        decay_rank: int | None = None
        """Numbers by way of which the decay is made; about 2.5 sqrt(dim) unless given."""
        rate_rank: int | None = None
        """The same for a, the share that is erased; about 2.5 sqrt(dim) unless given."""
        gate_rank: int | None = None
        """The same for g, the gate of the output; about 5 sqrt(dim) unless given."""

    def __init__(self, config: Config) -> None:
        self.ranks = {}
        for name, factor in (("decay", 2.5), ("rate", 2.5), ("gate", 5.0)):
            rank: int | None = getattr(config, f"{name}_rank")
            if rank is not None and rank < 1:
                raise Unsupported(f"{name}_rank {rank} is below 1")
            self.ranks[name] = rank or max(32, 32 * round(factor * config.dim**0.5 / 32))
        super().__init__(config)
        of_heads = self.heads, 1, self.head_dim
        self.erase_HxK = nn.Parameter(torch.full(of_heads, 0.71))
        self.write_HxK = nn.Parameter(torch.full(of_heads, 1.02))
        self.bonus_HxK = nn.Parameter(torch.full(of_heads, -0.04))
        self.norm_HxV = nn.Parameter(torch.ones(of_heads))
        self.norm_bias_HxV = nn.Parameter(torch.zeros(of_heads))

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        numbers = self.heads * self.head_dim
        between = {"decay": nn.Tanh(), "rate": nn.Identity(), "gate": nn.Sigmoid()}
        starts = {"decay": torch.linspace(-5.5, 0.5, numbers), "rate": torch.tensor(-0.19)}
        made = super().make_projections(dim)
        for name, rank in self.ranks.items():
            last = nn.Linear(rank, numbers, bias=name in starts)
            if name in starts:
                last.bias.data.copy_(starts[name])
            made[name] = nn.Sequential(nn.Linear(dim, rank, bias=False), between[name], last)
        return made

    def activated(self, name: str, y: Tensor) -> Tensor:
        if name == "decay":
            return torch.sigmoid(wide(y)) * -(math.e**-0.5)
        return torch.sigmoid(y) if name == "rate" else y

    def attend(
        self,
        r_BHTK: Tensor,
        decay_BHTK: Tensor,
        k_BHTK: Tensor,
        v_BHTV: Tensor,
        rate_BHTK: Tensor,
        gate_BHTV: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        z_BHTK, k_BHTK = self._keys(k_BHTK, rate_BHTK)
        e_BHTK = z_BHTK * rate_BHTK
        y_BHTV = generalized_delta_rule(r_BHTK, z_BHTK, e_BHTK, k_BHTK, v_BHTV, decay_BHTK)
        return self._finish(y_BHTV, r_BHTK * k_BHTK, v_BHTV, gate_BHTV)

    def step(
        self,
        r_BHK: Tensor,
        decay_BHK: Tensor,
        k_BHK: Tensor,
        v_BHV: Tensor,
        rate_BHK: Tensor,
        gate_BHV: Tensor,
        state: Memory,
    ) -> tuple[Tensor, Memory]:
        z_BHK, k_BHK = (x.squeeze(2) for x in self._keys(k_BHK.unsqueeze(2), rate_BHK.unsqueeze(2)))
        y_BHV, matrix_BHKV = generalized_delta_step(
            r_BHK, z_BHK, z_BHK * rate_BHK, k_BHK, v_BHV, decay_BHK, state.matrix_BHKV
        )
        given = (x.unsqueeze(2) for x in (y_BHV, r_BHK * k_BHK, v_BHV, gate_BHV))
        return self._finish(*given).squeeze(2), state.after(matrix_BHKV)

    def _keys(self, k_BHTK: Tensor, rate_BHTK: Tensor) -> tuple[Tensor, Tensor]:
        """The key that is read, of unit length, and the key that is written."""
        z_BHTK = normalize(wide(k_BHTK * self.erase_HxK), dim=-1).to(k_BHTK.dtype)
        return z_BHTK, torch.addcmul(k_BHTK, k_BHTK * (rate_BHTK - 1), self.write_HxK)

    def _finish(
        self, y_BHTV: Tensor, own_BHTK: Tensor, v_BHTV: Tensor, gate_BHTV: Tensor
    ) -> Tensor:
        y_BHTV = layer_norm(y_BHTV, y_BHTV.shape[-1:], eps=64e-5)
        y_BHTV = torch.addcmul(self.norm_bias_HxV, y_BHTV, self.norm_HxV)
        bonus_BHT1 = (own_BHTK * self.bonus_HxK).sum(-1, keepdim=True)
        return torch.addcmul(y_BHTV, bonus_BHT1, v_BHTV) * gate_BHTV
