"""Gated Linear Attention: linear attention with a data-dependent decay per channel."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, silu

from effattn_cli.attention import Card, Input, Unsupported, decay
from effattn_cli.parts.decay import decay_scan, decay_step
from effattn_cli.parts.precision import wide
from effattn_cli.parts.recurrent import Memory, Recurrent, at_least_one, low_rank, normed


@final
class GatedLinearAttention(Recurrent):
    """Each channel of the state decays by a factor that depends on the token.

    S_t = Diag(a_t) S_(t-1) + k_t v_t^T and y_t = S_t^T q_t / sqrt K, with log a = logsigmoid(
    x U U' + c) / 16, and out = RMSNorm(y) silu(x W) in each head
    (Gated Linear Attention Transformers, Yang et al. 2024, arXiv:2312.06635).
    """

    card = Card(
        title="Gated Linear Attention",
        families=("linear",),
        paper="arXiv:2312.06635",
        year=2023,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        aliases=("gated-linear",),
        notes=("gate and norm of the output belong to the core",),
    )
    inputs: ClassVar = {
        "q": Input(width="key_width"),
        "k": Input(width="key_width"),
        "v": Input(),
        "decay": Input(width="key_width", sample=decay),
        "gate": Input(),
    }

    @dataclass(frozen=True, kw_only=True)
    class Config(Recurrent.Config):
        key_width: int | None = None
        """Width of a query or key; half of a value's, as in the paper, unless given."""
        rank: int = 16
        """Numbers by way of which the decay is projected."""
        calm: float = 16.0
        """What log a is divided by, so that decays start close to 1."""

    def __init__(self, config: Config) -> None:
        usual = max(1, config.head_width // 2)
        self.key_width = at_least_one("key_width", config.key_width, usual)
        self.rank = at_least_one("rank", config.rank)
        if config.calm <= 0:
            raise Unsupported(f"calm {config.calm} is not above 0")
        super().__init__(config)
        self.calm = config.calm
        self.norm_V = nn.Parameter(torch.ones(self.head_dim))

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        numbers = self.heads * self.key_width
        made = super().make_projections(dim)
        return made | {"decay": low_rank(dim, self.rank, numbers, bias=True)}

    def activated(self, name: str, y: Tensor) -> Tensor:
        return logsigmoid(wide(y)) / self.calm if name == "decay" else y

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return self.heads, self.key_width, self.head_dim

    def attend(
        self,
        q_BHTK: Tensor,
        k_BHTK: Tensor,
        v_BHTV: Tensor,
        decay_BHTK: Tensor,
        gate_BHTV: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        y_BHTV = decay_scan(q_BHTK * self.key_width**-0.5, k_BHTK, v_BHTV, decay_BHTK)
        return normed(y_BHTV, self.norm_V, 1e-5) * silu(gate_BHTV)

    def step(
        self,
        q_BHK: Tensor,
        k_BHK: Tensor,
        v_BHV: Tensor,
        decay_BHK: Tensor,
        gate_BHV: Tensor,
        state: Memory,
    ) -> tuple[Tensor, Memory]:
        q_BHK = q_BHK * self.key_width**-0.5
        y_BHV, matrix_BHKV = decay_step(q_BHK, k_BHK, v_BHV, decay_BHK, state.matrix_BHKV)
        return normed(y_BHV, self.norm_V, 1e-5) * silu(gate_BHV), state.after(matrix_BHKV)
