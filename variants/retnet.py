"""RetNet: retention, linear attention with a fixed decay and rotation by position."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import silu

from effattn_cli.attention import Card, Input
from effattn_cli.parts.decay import decay_scan, decay_step
from effattn_cli.parts.recurrent import Memory, Recurrent, at_least_one, normed


@final
class RetNet(Recurrent):
    """Linear attention in which a token's weight decays and rotates with its distance.

    S_t = g_h S_(t-1) + k_t v_t^T and y_t = S_t^T q_t, with g_h = 1 - 2^(-5 - h) for heads h = 0 ..
    H - 1, q and k rotated by the angles t 10000^(-r / (K/2 - 1)) of their channel pairs r, and k
    divided by sqrt K; out = (y divided by its root mean square in each head) silu(x W) (Retentive
    Network, Sun et al. 2023, arXiv:2307.08621). Values are twice as wide as keys.
    """

    card = Card(
        title="RetNet",
        families=("linear",),
        paper="arXiv:2307.08621",
        year=2023,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        aliases=("retention", "retentive-network"),
        notes=(
            "without the authors' three scalings of the scores, which the norm takes away again",
            "gate and norm of the output belong to the core",
        ),
    )
    inputs: ClassVar = {
        "q": Input(),
        "k": Input(),
        "v": Input(width="value_width"),
        "gate": Input(width="value_width"),
    }

    @dataclass(frozen=True, kw_only=True)
    class Config(Recurrent.Config):
        value_width: int | None = None
        """Width of a value; twice that of a key unless given."""

    def __init__(self, config: Config) -> None:
        usual = 2 * config.head_width
        self.value_width = at_least_one("value_width", config.value_width, usual)
        super().__init__(config)
        shares = [1 - 2.0 ** (-5 - head) for head in range(self.heads)]
        self.decay_H: Tensor
        self.register_buffer("decay_H", torch.tensor(shares).log(), persistent=False)
        pairs = self.head_dim // 2
        self.rate_R: Tensor
        rate_R = 10_000.0 ** -torch.linspace(0, 1, pairs) if pairs else torch.zeros(0)
        self.register_buffer("rate_R", rate_R, persistent=False)

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        return self._turned(super().project(x_BTD), 0)

    def project_step(self, x_BD: Tensor, state: Memory) -> tuple[tuple[Tensor, ...], Memory]:
        inputs = self._turned(super().project(x_BD.unsqueeze(1)), state.length)
        return tuple(x_BHxK.squeeze(2) for x_BHxK in inputs), state

    def _turned(self, inputs: tuple[Tensor, ...], first: int) -> tuple[Tensor, ...]:
        """Rotates q and k of the tokens from position `first` on, in pairs of adjacent channels."""
        q_BHTK, k_BHTK, *rest = inputs
        position_T = torch.arange(first, first + q_BHTK.shape[2], device=q_BHTK.device)
        angle_TR = position_T[:, None] * self.rate_R.double()
        cos_TR, sin_TR = angle_TR.cos().to(q_BHTK.dtype), angle_TR.sin().to(q_BHTK.dtype)

        def turned(x_BHTK: Tensor) -> Tensor:
            paired = x_BHTK[..., : 2 * len(self.rate_R)]
            a_BHTR, b_BHTR = paired[..., ::2], paired[..., 1::2]
            both = (a_BHTR * cos_TR - b_BHTR * sin_TR, b_BHTR * cos_TR + a_BHTR * sin_TR)
            turned_BHTK = torch.stack(both, dim=-1).flatten(3)
            return torch.cat([turned_BHTK, x_BHTK[..., 2 * len(self.rate_R) :]], dim=-1)

        return turned(q_BHTK), turned(k_BHTK), *rest

    def attend(
        self,
        q_BHTK: Tensor,
        k_BHTK: Tensor,
        v_BHTV: Tensor,
        gate_BHTV: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        y_BHTV = decay_scan(q_BHTK, k_BHTK * self.head_dim**-0.5, v_BHTV, self.decay_H)
        return normed(y_BHTV, None) * silu(gate_BHTV)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHV: Tensor, gate_BHV: Tensor, state: Memory
    ) -> tuple[Tensor, Memory]:
        k_BHK = k_BHK * self.head_dim**-0.5
        y_BHV, matrix_BHKV = decay_step(q_BHK, k_BHK, v_BHV, self.decay_H, state.matrix_BHKV)
        state = replace(state.after(matrix_BHKV), length=state.length + 1)
        return normed(y_BHV, None) * silu(gate_BHV), state
