"""Gated short convolution: mixes the last few tokens, with two gates."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

from torch import Tensor

from effattn_cli.attention import Card, Decodable, Input, Unsupported
from effattn_cli.parts.short_conv import ShortConv


@dataclass(frozen=True)
class Recent:
    """The gated inputs of the last tokens."""

    recent_BSE: Tensor


@final
class GatedShortConv(Decodable[Recent]):
    """A causal convolution of each channel over L tokens, between two gates.

    y_t = C_t * sum over s < L of w_s (B * x)_(t - s), and out = W y, with B, C and x each a
    projection of the token (LFM2 Technical Report, Liquid AI 2025, arXiv:2511.23404).
    """

    card = Card(
        title="Gated short convolution",
        families=("convolution",),
        paper="arXiv:2511.23404",
        year=2025,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        reach=("taps",),
        deployed=("LFM2", "LFM2.5", "LFM3"),
        aliases=("lfm2", "gated-conv", "shortconv"),
        notes=("heads only say how wide it is: heads times head_dim channels, dim in LFM2",),
    )
    inputs: ClassVar = {"B": Input(), "C": Input(), "x": Input()}

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        taps: int = 3
        """Tokens that a channel sees, itself included (L); 3 in LFM2, 7 in LFM3."""
        bias: bool = False
        """Whether the convolution adds a bias."""

    def __init__(self, config: Config) -> None:
        if config.taps < 1:
            raise Unsupported(f"taps {config.taps} is below 1")
        super().__init__(config)
        channels = self.heads * self.head_dim
        self.conv = ShortConv(channels, config.taps, bias=config.bias, activate=False)

    def attend(
        self, B_BHTK: Tensor, C_BHTK: Tensor, x_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        gated_BTE = (B_BHTK * x_BHTK).transpose(1, 2).flatten(2)
        y_BTE: Tensor = self.conv(gated_BTE)
        return C_BHTK * y_BTE.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def init_state(self, batch: int, context: int) -> Recent:
        shape = batch, self.conv.before, self.heads * self.head_dim
        return Recent(self.blank(*shape, random=context > 0))

    def step(
        self, B_BHK: Tensor, C_BHK: Tensor, x_BHK: Tensor, state: Recent
    ) -> tuple[Tensor, Recent]:
        y_BE, recent_BSE = self.conv.step((B_BHK * x_BHK).flatten(1), state.recent_BSE)
        return C_BHK * y_BE.view_as(C_BHK), replace(state, recent_BSE=recent_BSE)
