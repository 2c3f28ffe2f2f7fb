"""Random Feature Attention: a Gaussian kernel approximated by sines and cosines."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from effattn_cli.attention import Card, SurveyRow, Unsupported
from effattn_cli.parts.chunked import DecodableKernel


@final
class RandomFeatureAttention(DecodableKernel):
    """Estimates exp(q k) by random sines and cosines of unit queries and keys.

    With directions w_r = sigma * (Gaussian) and unit q and k,
    phi(x) = [sin(w_r x), cos(w_r x)], so that E phi(q) phi(k) = D exp(-|sigma (q - k)|^2 / 2), in
    proportion to exp(q k) at sigma = 1, and out = phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1)
    (Peng et al. 2021, arXiv:2103.02143). D: directions, sigma: learned per head and channel.
    """

    card = Card(
        title="Random Feature Attention",
        families=("kernel", "linear"),
        paper="arXiv:2103.02143",
        year=2021,
        time="N",
        memory="N",
        state="k",
        causal="optional",
        kind="own mechanism",
        aliases=("rfa",),
        survey=SurveyRow(complexity="N", decode=True, classes="KR"),
        notes=(
            "estimates can be negative: the denominator is at least D e^-2, the least that one key"
            " weighs at sigma = 1 (times 1 - g with a gate); 1.56 D in the authors' code",
            "the paper's factor D^-1/2 of the features cancels in the quotient",
            "the directions are drawn once, when the layer is made: the authors redraw in training",
            "the gate reads the keys of all heads: where W_k is square and invertible, that is any"
            " linear function of the token, as in the paper",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(DecodableKernel.Config):
        directions: int = 64
        """Random directions, each a sine and a cosine (D in the paper)."""
        gate: bool = False
        """Whether each token fades what came before it; causal attention only."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.directions < 1:
            raise Unsupported(f"directions {config.directions} is below 1")
        if config.gate and not config.causal:
            raise Unsupported("the gate runs forward in time: it needs causal attention")
        self.width, self.floor = 2 * config.directions, config.directions * math.exp(-2)
        self.sigma_H1K = nn.Parameter(torch.ones(self.heads, 1, self.head_dim))
        self.directions_KR: Tensor
        self.register_buffer("directions_KR", torch.randn(self.head_dim, config.directions))
        if config.gate:
            self.gate = nn.Linear(self.heads * self.head_dim, self.heads)

    def query(self, q_BHTK: Tensor) -> Tensor:
        dtype = q_BHTK.dtype
        unit_BHTK = normalize(q_BHTK, dim=-1, eps=1e-6) * self.sigma_H1K.to(dtype)
        along_BHTR = unit_BHTK @ self.directions_KR.to(dtype)
        return torch.cat([along_BHTR.sin(), along_BHTR.cos()], dim=-1)

    def key(self, k_BHTK: Tensor) -> Tensor:
        return self.query(k_BHTK)
