"""mLSTM: a matrix memory with exponential gating."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, logsigmoid

from effattn_cli.attention import Card, Decodable, Input, Unsupported, merge_heads
from effattn_cli.parts.precision import wide
from effattn_cli.parts.stabilised import Memory, read


def open_gate(*shape: int, **like: Any) -> Tensor:
    """Logits of forget gates, as xLSTM-7B starts: around 4.5, where the sigmoid is 0.99."""
    return torch.randn(*shape, **like) + 4.5


@final
class MatrixLstm(Decodable[Memory]):
    """Sums outer products of keys and values in a matrix, with input and forget gates per token.

    C_t = f C_{t-1} + i v k^T, n_t = f n_{t-1} + i k, y = C q / max(|n q|, 1), i = exp(input gate),
    f = sigmoid or exp(forget gate), k divided by sqrt F; C and n are stored times exp(-m_t), where
    m_t = max(log f + m_{t-1}, log i). In the layer each head of y is normalised and multiplied by a
    sigmoid gate of the token (xLSTM, Beck et al. 2024, arXiv:2405.04517). F: width of keys.
    """

    inputs: ClassVar = {
        "q": Input(width="key_dim"),
        "k": Input("kv_heads", "key_dim"),
        "v": Input("kv_heads"),
        "input_gate": Input(width=None),
        "forget_gate": Input(width=None, sample=open_gate),
    }
    card = Card(
        title="mLSTM",
        families=("linear",),
        paper="arXiv:2405.04517",
        year=2024,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        deployed=("xLSTM-7B",),
        aliases=("xlstm", "matrix-lstm"),
        notes=(
            "the layer is that of xLSTM-7B (arXiv:2503.13427): gates from the token, no short"
            " convolution, a norm and an output gate; the paper's block has more around it",
            "what its code adds to the denominator, 1e-6, is left out: its part depends on m_t",
            "the gates' weights begin like those of any linear layer; there with a bias of -10 for"
            " the input gates, of 3 to 6 for the forget gates, and nothing else",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        key_width: float = 0.5
        """Width of queries and keys, as a part of a head's; a half in xLSTM-7B."""
        forget: Literal["sigmoid", "exponential"] = "sigmoid"
        """The forget gate, of which the paper has both."""
        gate_cap: float = 15.0
        """What the gates' logits are softly held below, by c tanh(x / c); 0 for nothing."""

    def __init__(self, config: Config) -> None:
        if not config.key_width > 0:
            raise Unsupported(f"key_width {config.key_width} is not above 0")
        if config.gate_cap < 0:
            raise Unsupported(f"gate_cap {config.gate_cap} is below 0")
        if config.forget not in {"sigmoid", "exponential"}:
            raise Unsupported(f"forget {config.forget!r} is neither sigmoid nor exponential")
        self.key_width, self.cap = config.key_width, config.gate_cap
        super().__init__(config)
        self.sigmoid = config.forget == "sigmoid"
        if not config.core:
            self.norm_E = nn.Parameter(torch.ones(self.heads * self.head_dim))

    @property
    def key_dim(self) -> int:
        return max(1, int(self.head_dim * self.key_width))

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        made = super().make_projections(dim)
        gates = {name: nn.Linear(dim, self.heads) for name in ("input_gate", "forget_gate")}
        gates["output_gate"] = nn.Linear(dim, self.heads * self.head_dim, bias=False)
        return made | gates

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        q, k, v, *gates = super().project(x_BTD)
        if self.cap:
            gates = [self.cap * torch.tanh(wide(logit_BHT) / self.cap) for logit_BHT in gates]
        return q, k, v, *gates

    def attend(
        self,
        q_BHTF: Tensor,
        k_BHTF: Tensor,
        v_BHTV: Tensor,
        in_BHT: Tensor,
        keep_BHT: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        """Padding is on the right, so no real query sees it."""
        dtype = q_BHTF.dtype
        if dtype == torch.float16:  # its range is too small for the sums
            q_BHTF, k_BHTF, v_BHTV = (x.float() for x in (q_BHTF, k_BHTF, v_BHTV))
        return read(q_BHTF, k_BHTF, v_BHTV, wide(in_BHT), self._kept(keep_BHT)).to(dtype)

    def _kept(self, logit: Tensor) -> Tensor:
        """The log of the forget gate."""
        return logsigmoid(wide(logit)) if self.sigmoid else wide(logit)

    def init_state(self, batch: int, context: int) -> Memory:
        shape = (batch, self.heads, self.head_dim + 1, self.key_dim)
        sum_BHEF = wide(self.blank(*shape, random=context > 0))
        top_BH = torch.full_like(sum_BHEF[..., 0, 0], 0.0 if context else -torch.inf)
        return Memory(sum_BHEF, top_BH)

    def step(self, *inputs: Any) -> tuple[Tensor, Memory]:
        q_BHF, k_BHF, v_BHV, in_BH, keep_BH, state = inputs
        return state.step(q_BHF, k_BHF, v_BHV, wide(in_BH), self._kept(keep_BH))

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        return self._gated(x_BTD, self.mix(*self.project(x_BTD), valid_BT))

    def decode(self, x_BD: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        inputs, state = self.project_step(x_BD, state)
        y_BHV, state = self.mix_step(*inputs, state)
        return self._gated(x_BD.unsqueeze(1), y_BHV.unsqueeze(2)).squeeze(1), state

    def _gated(self, x_BTD: Tensor, y_BHTV: Tensor) -> Tensor:
        normed_BHTV = layer_norm(wide(y_BHTV), y_BHTV.shape[-1:], eps=1e-6).to(y_BHTV.dtype)
        gate_BTE = self.projections["output_gate"](x_BTD).sigmoid()
        out: Tensor = self.projections["out"](merge_heads(normed_BHTV) * self.norm_E * gate_BTE)
        return out
