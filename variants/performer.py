"""Performer: softmax attention with positive random features (FAVOR+)."""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card, SurveyRow, Unsupported
from effattn_cli.parts.chunked import DecodableKernel


@final
class Performer(DecodableKernel):
    """Estimates the softmax kernel by positive random features, so that k and v are summed first.

    With x = x' / K^1/4 and Gaussian directions w_r, orthogonal in blocks of K,
    phi_r(x) = exp(w_r x - |x|^2 / 2), so that E phi(q) phi(k) = exp(q' k' / sqrt K), and
    out = phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1)
    (Rethinking Attention with Performers, Choromanski et al. 2021, arXiv:2009.14794).
    """

    card = Card(
        title="Performer",
        families=("kernel", "linear"),
        paper="arXiv:2009.14794",
        year=2020,
        time="N",
        memory="N",
        state="k",
        causal="optional",
        kind="approximates softmax",
        swap="lossy",
        swap_if={"kernel": ("softmax",)},
        knobs={"features": "limit"},
        aliases=("favor", "favor+"),
        survey=SurveyRow(complexity="N", decode=True, classes="KR"),
        lra=51.41,
        notes=(
            "the directions are drawn once, when the layer is made: the authors redraw in training",
            "softmax features get no epsilon: the authors' 1e-4 moves the output by tens of %",
            "queries are stabilised one by one and keys not at all, since a maximum over the length"
            " sees later tokens: a key of |k|^2 beyond some 140 sqrt K counts for nothing, and"
            " where all are so long the output is 0",
            "relu features are relu(w_r x) + 1e-3, as in the code of the Long Range Arena",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(DecodableKernel.Config):
        features: int = 256
        """Random features a query or key (M in the paper)."""
        kernel: Literal["softmax", "relu"] = "softmax"
        """The function that the features stand for; relu is the paper's generalised attention."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.features < 1:
            raise Unsupported(f"features {config.features} is below 1")
        if config.kernel not in {"softmax", "relu"}:
            raise Unsupported(f"kernel {config.kernel!r} is neither softmax nor relu")
        self.width, self.relu = config.features, config.kernel == "relu"
        self.directions_KF: Tensor
        scaled_KF = _directions(config.features, self.head_dim).mT * self.head_dim**-0.25
        self.register_buffer("directions_KF", scaled_KF.contiguous())

    def query(self, q_BHTK: Tensor) -> Tensor:
        along_BHTF = q_BHTK @ self.directions_KF.to(q_BHTK.dtype)
        # A factor per query cancels in the quotient, so softmax gives the features up to a scale.
        return _relu(along_BHTF) if self.relu else along_BHTF.softmax(-1)

    def key(self, k_BHTK: Tensor) -> Tensor:
        directions_KF = self.directions_KF.to(k_BHTK.dtype)
        if self.relu:
            return _relu(k_BHTK @ directions_KF)
        # The half square is one more coordinate, with weight 1 in every feature; and exp2 is three
        # times as fast as exp on a CPU.
        half_BHT1 = k_BHTK.square().sum(-1, keepdim=True) * (-0.5 * self.head_dim**-0.5)
        directions_LF = torch.cat([directions_KF, torch.ones_like(directions_KF[:1])])
        return (torch.cat([k_BHTK, half_BHT1], -1) @ (directions_LF * math.log2(math.e))).exp2_()


def _relu(along_BHTF: Tensor) -> Tensor:
    return along_BHTF.relu_() + 1e-3


def _directions(features: int, head_dim: int) -> Tensor:
    """Gaussian rows (F, K), orthogonal within each block of K; always in float32."""
    blocks = [
        nn.init.orthogonal_(torch.empty(head_dim, head_dim, dtype=torch.float32))
        for _ in range(0, features, head_dim)
    ]
    lengths_F = torch.randn(features, head_dim, dtype=torch.float32).norm(dim=1)
    return torch.cat(blocks)[:features] * lengths_F[:, None]
