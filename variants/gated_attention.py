"""Gated attention: exact attention with a gate on its output."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import Tensor

from effattn_cli.attention import Card, Decodable, Input
from effattn_cli.parts import output_gate
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.exact import exact
from effattn_cli.parts.rotary import Prepared


@final
class GatedAttention(Prepared, Decodable[Cache]):
    """Exact grouped-query attention whose output is multiplied by a gate of the token.

    out_h = softmax(q_h k_g^T / sqrt K) v_g * sigmoid(x W_h) with g = h // (H / G), with one gate
    per channel or one per head (Gated Attention for Large Language Models, Qiu et al. 2025,
    arXiv:2505.06708; grouped as in Qwen3-Next).
    """

    grouped = True
    kv_share = 8
    card = Card(
        title="Gated attention",
        families=("exact",),
        paper="arXiv:2505.06708",
        year=2025,
        time="N^2",
        memory="N",
        state="N",
        causal="optional",
        kind="own mechanism",
        deployed=("Qwen3-Next", "Qwen3.5", "Step-3.7", "Laguna", "AFMoE"),
        aliases=("output-gated", "gated-softmax"),
        notes=(
            "the gate belongs to the core",
            "kv_heads: at most an eighth of the heads unless given; 2 of 16 in Qwen3-Next",
        ),
    )
    inputs: ClassVar = {
        "q": Input(),
        "k": Input("kv_heads"),
        "v": Input("kv_heads"),
        "gate": Input(width="gate_width"),
    }

    @dataclass(frozen=True, kw_only=True)
    class Config(Prepared.Config):
        gate: Literal["element", "head", "softplus"] = "element"
        """A sigmoid for each channel, as in Qwen3-Next; a sigmoid for each head, as in Step-3.7; or
        a softplus for each head, as in Laguna."""

    def __init__(self, config: Config) -> None:
        self.gate, self.gate_width = config.gate, output_gate.width(config.gate, config.head_width)
        super().__init__(config)

    def attend(
        self,
        q_BHTK: Tensor,
        k_BGTK: Tensor,
        v_BGTK: Tensor,
        gate_BHT: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        y_BHTK = exact(q_BHTK, k_BGTK, v_BGTK, valid_BT, causal=self.causal)
        return output_gate.gated(self.gate, y_BHTK, gate_BHT)

    def init_state(self, batch: int, context: int) -> Cache:
        return Cache.init(self, batch, context)

    def step(
        self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, gate_BH: Tensor, state: Cache
    ) -> tuple[Tensor, Cache]:
        state = state.append(k_BGK, v_BGK)
        return output_gate.gated(self.gate, state.attend(q_BHK), gate_BH), state
