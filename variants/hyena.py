"""Hyena: gating around a convolution as long as the sequence."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, Decodable, Input, Unsupported
from effattn_cli.parts.long_conv import ImplicitFilter, long_convolution
from effattn_cli.parts.precision import wide
from effattn_cli.parts.short_conv import short_convolution

TAPS = 3  # of a short convolution
PARTS = ("gate", "inner", "value")


@dataclass(frozen=True)
class Past:
    """Decoding state: all inputs of the long convolution so far, the first `length` of R filled."""

    u_CBR: Tensor
    filter_CR: Tensor  # computed once, with the last tap first
    recent_PBSC: Tensor  # projections of the last tokens, for the short convolutions
    length: int


@final
class Hyena(Decodable[Past]):
    """Gates the values, convolves them with a filter as long as the sequence, and gates again.

    Of three projections g, a and v of x, each after a causal convolution of 3 taps, channel by
    channel, y_t = g_t (sum over s <= t of h_(t - s) a_s v_s + d a_t v_t). The filter is h_t = f(t)
    exp(-c t / L), f a network with sine activations whose inputs are t / L and sines and cosines of
    2 pi j t / L; the decay c goes from slow to fast over the channels, d is learned (Hyena
    Hierarchy, Poli et al. 2023, arXiv:2302.10866, of order 2). L: the maximum length.
    """

    inputs: ClassVar = dict.fromkeys(PARTS, Input(heads=None, width="channels"))
    card = Card(
        title="Hyena",
        families=("convolution",),
        paper="arXiv:2302.10866",
        year=2023,
        time="N log N",
        memory="N",
        state="N",
        causal="always",
        kind="own mechanism",
        deployed=("HyenaDNA",),
        notes=(
            "no heads, as in the paper: the channels are cut up to look like heads at the end",
            "the filter is made anew at each call, and once for all steps of decoding",
            "decoding is exact and costs N a token: no recurrence gives such a filter",
            "sizes and frequency of the filter's network are those of the authors' run on the Pile;"
            " its features are not learned, and projections have no bias",
            "causal but for rounding, which a Fourier transform carries everywhere",
        ),
        exempt={
            "causality": "a Fourier transform carries rounding everywhere: with a later token an"
            " output changes by 1e-7 of its size in float32, by 1e-15 in float64",
        },
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        filter_width: int = 64
        """Units of each hidden layer of the network that gives the filter."""
        filter_layers: int = 3
        """How many hidden layers it has."""
        filter_features: int = 33
        """Numbers that it is given for a position: t / L, and as many cosines as sines; odd."""
        frequency: float = 14.0
        """What is multiplied before its sines, to begin with (w in the authors' code)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in ("filter_width", "filter_layers"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        features = config.filter_features
        if features < 3 or features % 2 == 0:
            raise Unsupported(f"filter_features {features} is not an odd number from 3 on")
        if not config.frequency > 0:
            raise Unsupported(f"frequency {config.frequency} is not above 0")
        self.filter = ImplicitFilter(
            self.channels,
            config.tokens,
            features=features,
            layers=config.filter_layers,
            width=config.filter_width,
            start=config.frequency,
        )
        if not config.core:
            self.taps_PCS = nn.Parameter(torch.randn(3, self.channels, TAPS) * TAPS**-0.5)
            self.bias_PC = nn.Parameter(torch.zeros(3, self.channels))

    @property
    def channels(self) -> int:
        return self.heads * self.head_dim

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        streams = zip(super().project(x_BTD), self.taps_PCS, self.bias_PC, strict=True)
        return tuple(short_convolution(*given) for given in streams)

    def attend(
        self, gate_BTC: Tensor, inner_BTC: Tensor, value_BTC: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        """Padding is on the right: no real output depends on it."""
        u_BTC = wide(inner_BTC) * value_BTC
        mixed_BTC = long_convolution(u_BTC, self.filter(u_BTC.shape[1]))
        y_BTC = (gate_BTC * mixed_BTC).to(gate_BTC.dtype)
        return y_BTC.unflatten(2, (self.heads, self.head_dim)).transpose(1, 2)

    def init_state(self, batch: int, context: int) -> Past:
        room = max(self.config.tokens, context + 1)
        u_CBR = wide(self.blank(self.channels, batch, room, random=True))
        last = 0 if self.config.core else TAPS - 1
        recent_PBSC = self.blank(len(PARTS), batch, last, self.channels, random=context > 0)
        return Past(u_CBR, self.filter(room).flip(1), recent_PBSC, context)

    def project_step(self, x_BD: Tensor, state: Past) -> tuple[tuple[Tensor, ...], Past]:
        new_PBxC = torch.stack(super().project(x_BD.unsqueeze(1)))
        seen_PBSC = torch.cat([state.recent_PBSC, new_PBxC], dim=2)
        weighted_PBSC = seen_PBSC * self.taps_PCS.mT.unsqueeze(1)
        given_PBC = weighted_PBSC.sum(2) + self.bias_PC.unsqueeze(1)
        return given_PBC.unbind(0), replace(state, recent_PBSC=seen_PBSC[:, :, 1:])

    def step(
        self, gate_BC: Tensor, inner_BC: Tensor, value_BC: Tensor, state: Past
    ) -> tuple[Tensor, Past]:
        state.u_CBR[:, :, state.length] = (wide(inner_BC) * value_BC).mT
        seen = state.length + 1
        taps_CxR = state.filter_CR[:, None, -seen:]
        mixed_CB = torch.linalg.vecdot(state.u_CBR[:, :, :seen], taps_CxR)
        y_BC = (gate_BC * mixed_CB.mT).to(gate_BC.dtype)
        return y_BC.unflatten(1, (self.heads, self.head_dim)), replace(state, length=seen)
