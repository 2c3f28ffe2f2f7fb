"""Sliding-window attention, with or without attention sinks and gates."""

from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Decodable, Input, Unsupported
from effattn_cli.attention.inputs import QKV
from effattn_cli.parts import output_gate
from effattn_cli.parts.banded import Ring, banded
from effattn_cli.parts.blocks import windowed
from effattn_cli.parts.exact import exact
from effattn_cli.parts.rotary import Prepared


@final
class SlidingWindow(Prepared, Decodable[Ring]):
    """Each query sees only `window` keys around it, or up to it in the causal form.

    out_i = softmax over j of (q_i k_j / sqrt K) v_j with |i - j| <= W // 2, or i - W < j <= i
    (stand-alone local self-attention, Ramachandran et al. 2019, arXiv:1906.05909, in one dimension;
    causal as in Mistral 7B, arXiv:2310.06825). W: window.

    Sinks absorb attention weight that fits no key: either the first tokens, which every query also
    sees (StreamingLLM, Xiao et al. 2023, arXiv:2309.17453), or a learned logit s_h per head that
    appears only in the denominator, as in gpt-oss (arXiv:2508.10925). A gate multiplies the output,
    as in `gated-attention` (arXiv:2505.06708) and the window layers of Step-3.7.
    """

    grouped = True
    card = Card(
        title="Sliding-window attention",
        families=("window", "fixed-pattern"),
        paper="arXiv:1906.05909",
        year=2019,
        time="N w",
        memory="N",
        state="w",
        causal="optional",
        kind="approximates softmax",
        swap="lossy",
        swap_if={"sinks": ("none", "first")},
        knobs={"window": "2 N"},
        reach=("window",),
        deployed=("Mistral 7B", "Gemma 2 to 4", "gpt-oss", "MiMo-V2-Flash", "Step-3.7"),
        aliases=("swa", "window", "windowed", "streaming-llm", "attention-sinks"),
        lra=46.06,
        notes=(
            "exact to the token, not to the block",
            "not causal, an even window sees itself and half of the window on either side",
            "first tokens as sinks have their own positions; StreamingLLM turns cached keys by"
            " their place in the cache, at each step",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Prepared.Config):
        window: int = 256
        """Keys that a query sees; 256 is what tensor2tensor's local attention takes, 128 gpt-oss,
        1024 Gemma 4, 4096 Mistral 7B."""
        sinks: Literal["none", "first", "learned"] = "none"
        """What takes up weight besides: the first tokens, or a learned logit in each head."""
        first: int = 4
        """How many first tokens are sinks, with sinks=first."""
        gate: Literal["none", "element", "head", "softplus"] = "none"
        """What the output passes: a sigmoid for each channel, as in AFMoE; a sigmoid for each head,
        as in Step-3.7; or a softplus for each head, as in Laguna."""

    def __init__(self, config: Config) -> None:
        self.gate = config.gate
        if self.gate != "none":
            self.gate_width = output_gate.width(self.gate, config.head_width)
            self.inputs = {**QKV, "gate": Input(width="gate_width")}  # type: ignore[misc]
        super().__init__(config)
        for name in ("window", "first"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        if config.sinks not in {"none", "first", "learned"}:
            raise Unsupported(f"sinks {config.sinks!r} is not none, first or learned")
        if config.sinks == "learned" and not config.causal:
            raise Unsupported("learned sinks belong to causal attention")
        self.window, self.first = config.window, config.first if config.sinks == "first" else 0
        self.horizon = self.window + self.first
        learned = config.sinks == "learned"
        self.sink_H = nn.Parameter(torch.randn(self.heads)) if learned else None

    def attend(self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, *more: Any) -> Tensor:
        """`more`: the gate's input, if there is a gate, and the mask."""
        if self.gate == "none":
            return self._attend(q_BHTK, k_BGTK, v_BGTK, *more)
        gate_BHT, *mask = more
        return output_gate.gated(self.gate, self._attend(q_BHTK, k_BGTK, v_BGTK, *mask), gate_BHT)

    def _attend(
        self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        if self.sink_H is not None:
            return windowed(q_BHTK, k_BGTK, v_BGTK, window=self.window, sink_H=self.sink_H)
        qkv, first = (q_BHTK, k_BGTK, v_BGTK), self.first
        if not self.causal:
            reach = self.window // 2
            return banded(*qkv, valid_BT, before=reach, after=reach, always=first)
        # Padding is on the right, so no real query sees it.
        y_BHTK = banded(*qkv, before=self.window - 1, after=0, always=first)
        if not first:
            return y_BHTK
        early_BHTK = exact(*(x[:, :, :first] for x in qkv), causal=True)
        return torch.cat([early_BHTK, y_BHTK[:, :, first:]], dim=2)

    def init_state(self, batch: int, context: int) -> Ring:
        return Ring.init(self, batch, context, last=self.window, always=self.first)

    def step(self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, *more: Any) -> tuple[Tensor, Ring]:
        """`more`: the gate's input, if there is a gate, and the state."""
        *gate_BH, state = more
        state = state.append(k_BGK, v_BGK)
        y_BHK = state.attend(q_BHK, self.sink_H)
        return output_gate.gated(self.gate, y_BHK, *gate_BH) if gate_BH else y_BHK, state
