"""HGRN2: a gated recurrence whose keys are one minus its forget gates."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, silu

from effattn_cli.attention import Card, Input, Unsupported, decay
from effattn_cli.parts.decay import decay_scan, decay_step
from effattn_cli.parts.precision import wide
from effattn_cli.parts.recurrent import Memory, Recurrent, normed


@final
class HGRN2(Recurrent):
    """The more a channel forgets, the more of the new value it takes up.

    S_t = Diag(f_t) S_(t-1) + (1 - f_t) v_t^T and y_t = S_t^T q_t, with q after SiLU and
    f = b + (1 - b) sigmoid(x W) in each channel of the key; out = RMSNorm(y) over all heads
    (HGRN2: Gated Linear RNNs with State Expansion, Qin et al. 2024, arXiv:2404.07904).
    """

    card = Card(
        title="HGRN2",
        families=("linear",),
        paper="arXiv:2404.07904",
        year=2024,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        aliases=("hgrn-2",),
        notes=(
            "the lower bound b is learned over a model's layers in the paper; here it is an option",
            "the norm of the output belongs to the core",
        ),
    )
    inputs: ClassVar = {"q": Input(), "decay": Input(sample=decay), "v": Input()}

    @dataclass(frozen=True, kw_only=True)
    class Config(Recurrent.Config):
        bound: float = 0.0
        """The least share that a channel keeps (b); 0 in the first layer of a model."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if not 0 <= config.bound < 1:
            raise Unsupported(f"bound {config.bound} is not from 0 to below 1")
        self.bound = config.bound
        self.norm_HV = nn.Parameter(torch.ones(self.heads, self.head_dim))

    def activated(self, name: str, y: Tensor) -> Tensor:
        if name == "q":
            return silu(y)
        if name == "decay":
            share = logsigmoid(wide(y))
            return share if not self.bound else (self.bound + (1 - self.bound) * share.exp()).log()
        return y

    def attend(
        self, q_BHTK: Tensor, decay_BHTK: Tensor, v_BHTV: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        k_BHTK = -torch.expm1(wide(decay_BHTK)).to(q_BHTK.dtype)
        return self._finish(decay_scan(q_BHTK, k_BHTK, v_BHTV, decay_BHTK))

    def step(
        self, q_BHK: Tensor, decay_BHK: Tensor, v_BHV: Tensor, state: Memory
    ) -> tuple[Tensor, Memory]:
        k_BHK = -torch.expm1(wide(decay_BHK)).to(q_BHK.dtype)
        y_BHV, matrix_BHKV = decay_step(q_BHK, k_BHK, v_BHV, decay_BHK, state.matrix_BHKV)
        return self._finish(y_BHV.unsqueeze(2)).squeeze(2), state.after(matrix_BHKV)

    def _finish(self, y_BHTV: Tensor) -> Tensor:
        return normed(y_BHTV, self.norm_HV.unsqueeze(1), 1e-5, over=(1, 3))
