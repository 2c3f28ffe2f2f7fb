"""Local attention: a window that slides along the sequence."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from effattn_cli.attention import Card, Decodable, Unsupported
from effattn_cli.parts.banded import Ring, banded
from effattn_cli.parts.rotary import Rotary


@final
class Local(Rotary, Decodable[Ring]):
    """Each query sees only the `window` keys around it, or up to it where causal.

    out_i = softmax over j of (q_i k_j / sqrt K) v_j with |i - j| <= W // 2, or i - W < j <= i
    (stand-alone local self-attention, Ramachandran et al. 2019, arXiv:1906.05909, in one dimension;
    causal as in Mistral 7B, arXiv:2310.06825). W: window.
    """

    grouped = True
    card = Card(
        title="Local attention",
        families=("fixed-pattern",),
        paper="arXiv:1906.05909",
        year=2019,
        time="N w",
        memory="N",
        causal="optional",
        kind="approximates softmax",
        aliases=("swa", "sliding-window", "window", "windowed"),
        lra=46.06,
        notes=(
            "exact to the token, not to the block",
            "not causal, an even window sees itself and half of the window on either side",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Rotary.Config):
        window: int = 256
        """Keys that a query sees; 256 is what tensor2tensor's local attention takes."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.window < 1:
            raise Unsupported(f"window {config.window} is below 1")
        self.window = self.horizon = config.window

    def attend(
        self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, real_BT: Tensor | None = None
    ) -> Tensor:
        if self.causal:  # padding trails: no real query sees it
            return banded(q_BHTK, k_BGTK, v_BGTK, before=self.window - 1, after=0)
        reach = self.window // 2
        return banded(q_BHTK, k_BGTK, v_BGTK, real_BT, before=reach, after=reach)

    def init_state(self, batch: int, context: int) -> Ring:
        return Ring.init(self, batch, context, last=self.window)

    def step(self, q_BHK: Tensor, k_BGK: Tensor, v_BGK: Tensor, state: Ring) -> tuple[Tensor, Ring]:
        state = state.append(k_BGK, v_BGK)
        return state.attend(q_BHK), state
