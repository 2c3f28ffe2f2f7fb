"""Lightning Attention: linear attention with a fixed decay per head."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from effattn_cli.attention import Card, Input, Unsupported
from effattn_cli.parts.decay import decay_scan, decay_step
from effattn_cli.parts.recurrent import Memory, Recurrent, normed


@final
class Lightning(Recurrent):
    """Linear attention whose state decays by a fixed factor per head, weaker in later layers.

    S_t = e^(-s_h) S_(t-1) + k_t v_t^T and y_t = S_t^T q_t, with q, k and v after SiLU and slopes
    s_h = 2^(-8 h / H) (1 - l / (L - 1)) for heads h = 1 .. H of layer l, and out = RMSNorm(y)
    sigmoid(x W), normalised over all heads together (Lightning Attention-2, Qin et al. 2024,
    arXiv:2401.04658; as in MiniMax-01, arXiv:2501.08313).
    """

    card = Card(
        title="Lightning Attention",
        families=("linear",),
        paper="arXiv:2401.04658",
        year=2024,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        deployed=("MiniMax-Text-01", "MiniMax-M1", "Ling 2.5"),
        aliases=("lightning-attention", "lightning2"),
        notes=("gate and norm of the output belong to the core",),
    )
    inputs: ClassVar = {"q": Input(), "k": Input(), "v": Input(), "gate": Input()}

    @dataclass(frozen=True, kw_only=True)
    class Config(Recurrent.Config):
        depth: float = 0.0
        """The position of the layer in its model, l / (L - 1): 0 is the first, 1 the last."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if not 0 <= config.depth <= 1:
            raise Unsupported(f"depth {config.depth} is not from 0 to 1")
        base, factor = 2 ** (-8 / self.heads), 1 - config.depth + 1e-5
        slopes = [base ** (head + 1) * factor for head in range(self.heads)]
        self.decay_H: Tensor
        self.register_buffer("decay_H", -torch.tensor(slopes), persistent=False)
        self.norm_HV = nn.Parameter(torch.ones(self.heads, self.head_dim))

    def activated(self, name: str, y: Tensor) -> Tensor:
        return y if name == "gate" else silu(y)

    def attend(
        self,
        q_BHTK: Tensor,
        k_BHTK: Tensor,
        v_BHTV: Tensor,
        gate_BHTV: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        y_BHTV = decay_scan(q_BHTK, k_BHTK, v_BHTV, self.decay_H)
        return normed(y_BHTV, self.norm_HV.unsqueeze(1), over=(1, 3)) * torch.sigmoid(gate_BHTV)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHV: Tensor, gate_BHV: Tensor, state: Memory
    ) -> tuple[Tensor, Memory]:
        y_BHV, matrix_BHKV = decay_step(q_BHK, k_BHK, v_BHV, self.decay_H, state.matrix_BHKV)
        y_BHV = normed(y_BHV, self.norm_HV, over=(1, 2)) * torch.sigmoid(gate_BHV)
        return y_BHV, state.after(matrix_BHKV)
