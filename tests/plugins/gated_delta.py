"""The gated delta rule, token by token: a decay and a step for each token, short convolutions."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize, pad

from effattn_cli.attention import Card, Decodable, Input, decay, gate

TAPS = 3  # tokens that a convolution looks at


@dataclass(frozen=True)
class Memory:
    """The matrix of a head, and the tokens that the convolution still looks at."""

    matrix_BHVK: Tensor
    recent: dict[str, Tensor]


class GatedDelta(Decodable[Memory]):
    """Forgets, then writes what the memory does not know yet: S = a S (1 - b k k^T) + b v k^T."""

    card = Card(
        title="Gated delta", families=("recurrent",), paper="arXiv:2412.06464", year=2024, time="N",
        memory="N", causal="always", kind="own mechanism",
    )  # fmt: skip
    inputs: ClassVar = {
        "q": Input(),
        "k": Input(),
        "v": Input(width="wide"),
        "decay": Input(width=None, sample=decay),
        "beta": Input(width=None, sample=gate),
    }

    def __init__(self, config: Decodable.Config) -> None:
        super().__init__(config)
        if not config.core:
            self.taps = nn.Parameter(torch.randn(TAPS, config.dim) / TAPS)

    @property
    def wide(self) -> int:
        return 2 * self.head_dim

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        return self._activated(self._convolved(pad(x_BTD, (0, 0, TAPS - 1, 0))))

    def _convolved(self, x_BSD: Tensor) -> Tensor:
        return (x_BSD.unfold(1, TAPS, 1) * self.taps.T).sum(-1)

    def _activated(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        q, k, v, decays, betas = super().project(x_BTD)
        return normalize(q, dim=-1), normalize(k, dim=-1), v, logsigmoid(decays), betas.sigmoid()

    def attend(
        self,
        q_BHTK: Tensor,
        k_BHTK: Tensor,
        v_BHTV: Tensor,
        decay_BHT: Tensor,
        beta_BHT: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        B, H, T, K = q_BHTK.shape
        matrix_BHVK = q_BHTK.new_zeros(B, H, v_BHTV.shape[-1], K)
        outs = []
        for t in range(T):
            qkv = q_BHTK[:, :, t], k_BHTK[:, :, t], v_BHTV[:, :, t]
            gates = decay_BHT[:, :, t], beta_BHT[:, :, t]
            y_BHV, matrix_BHVK = _step(*qkv, *gates, matrix_BHVK)
            outs.append(y_BHV)
        return torch.stack(outs, dim=2)

    def init_state(self, batch: int, context: int) -> Memory:
        matrix_BHVK = self.blank(batch, self.heads, self.wide, self.head_dim, random=context > 0)
        recent = {}
        if not self.config.core:
            recent["x"] = self.blank(batch, TAPS - 1, self.config.dim, random=context > 0)
        return Memory(matrix_BHVK, recent)

    def project_step(self, x_BD: Tensor, state: Memory) -> tuple[tuple[Tensor, ...], Memory]:
        seen_BSD = torch.cat([state.recent["x"], x_BD[:, None]], dim=1)
        inputs = self._activated(self._convolved(seen_BSD))
        pairs = zip(self.inputs.values(), inputs, strict=True)
        given = tuple(spec.of_token(x) for spec, x in pairs)
        return given, Memory(state.matrix_BHVK, {"x": seen_BSD[:, 1:]})

    def step(
        self,
        q_BHK: Tensor,
        k_BHK: Tensor,
        v_BHV: Tensor,
        decay_BH: Tensor,
        beta_BH: Tensor,
        state: Memory,
    ) -> tuple[Tensor, Memory]:
        y_BHV, matrix_BHVK = _step(q_BHK, k_BHK, v_BHV, decay_BH, beta_BH, state.matrix_BHVK)
        return y_BHV, Memory(matrix_BHVK, state.recent)


def _step(
    q_BHK: Tensor,
    k_BHK: Tensor,
    v_BHV: Tensor,
    decay_BH: Tensor,
    beta_BH: Tensor,
    matrix_BHVK: Tensor,
) -> tuple[Tensor, Tensor]:
    matrix_BHVK = matrix_BHVK * decay_BH.exp()[..., None, None]
    known_BHV = (matrix_BHVK @ k_BHK[..., None]).squeeze(-1)
    news_BHV = (v_BHV - known_BHV) * beta_BH[..., None]
    matrix_BHVK = matrix_BHVK + news_BHV[..., None] * k_BHK[:, :, None]
    return (matrix_BHVK @ q_BHK[..., None]).squeeze(-1), matrix_BHVK
