"""DeltaNet: linear attention that overwrites the value stored under a key."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Input, gate
from effattn_cli.parts.delta_rule import delta_rule, step_sized_delta_step, unit
from effattn_cli.parts.recurrent import Convolved, Memory, normed


@final
class DeltaNet(Convolved):
    """Moves the value stored under a key towards the new value, by a fraction b.

    S_t = (I - b_t k_t k_t^T) S_(t-1) + b_t k_t v_t^T and y_t = S_t^T q_t / sqrt K, with q and k
    L2-normalised after a short convolution and SiLU, and b = sigmoid(x W); each head's output is
    divided by its root mean square (Parallelizing Linear Transformers with the Delta Rule, Yang et
    al. 2024, arXiv:2406.06484; the rule of Schlag et al. 2021, arXiv:2102.11174).
    """

    card = Card(
        title="DeltaNet",
        families=("linear",),
        paper="arXiv:2406.06484",
        year=2024,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        aliases=("delta-rule", "delta-net"),
        notes=("the norm of the output belongs to the core",),
    )
    inputs: ClassVar = {
        "q": Input(),
        "k": Input(),
        "v": Input(),
        "beta": Input(width=None, sample=gate),
    }
    convolved = ("q", "k", "v")

    @dataclass(frozen=True, kw_only=True)
    class Config(Convolved.Config):
        negative: bool = False
        """Whether b goes up to 2, so that the state can change its sign."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.max_beta = 2 if config.negative else 1
        self.norm_V = nn.Parameter(torch.ones(self.head_dim))

    def activated(self, name: str, y: Tensor) -> Tensor:
        return self.max_beta * torch.sigmoid(y) if name == "beta" else y

    def attend(
        self,
        q_BHTK: Tensor,
        k_BHTK: Tensor,
        v_BHTV: Tensor,
        beta_BHT: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        q_BHTK = unit(q_BHTK) * self.head_dim**-0.5
        nothing_BHT = torch.zeros_like(beta_BHT)
        y_BHTV = delta_rule(q_BHTK, unit(k_BHTK), v_BHTV, beta_BHT, nothing_BHT)
        return normed(y_BHTV, self.norm_V, 1e-5)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHV: Tensor, beta_BH: Tensor, state: Memory
    ) -> tuple[Tensor, Memory]:
        q_BHK, nothing_BH = unit(q_BHK) * self.head_dim**-0.5, torch.zeros_like(beta_BH)
        y_BHV, matrix_BHKV = step_sized_delta_step(
            q_BHK, unit(k_BHK), v_BHV, beta_BH, nothing_BH, state.matrix_BHKV
        )
        return normed(y_BHV, self.norm_V, 1e-5), state.after(matrix_BHKV)
