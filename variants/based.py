"""Based: linear attention with the degree-2 Taylor polynomial of the exponential."""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import pad

from effattn_cli.attention import Card, Input, Unsupported
from effattn_cli.parts.chunked import DecodableKernel


@final
class Based(DecodableKernel):
    """Uses narrow queries and keys, and the Taylor polynomial of exp(q k) instead of exp.

    With s = q k / sqrt d, the weight of a key is 1 + s + s^2 / 2, which is positive, and
    out = phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1), where phi(q) phi(k) is that weight
    (Based, Arora et al. 2024, arXiv:2402.18668). d: feature_dim, the width of q and k.

    The features are the products x_i x_j, i <= j, of x = [1, q], which include 1 and q:
    (d + 1) (d + 2) / 2 of them, with the weight 1/2 where i = j > 0.
    """

    inputs: ClassVar = {
        "q": Input(width="feature_dim"),
        "k": Input("kv_heads", width="feature_dim"),
        "v": Input("kv_heads"),
    }
    card = Card(
        title="Based",
        families=("kernel", "linear"),
        paper="arXiv:2402.18668",
        year=2024,
        time="N",
        memory="N",
        state="1",
        causal="optional",
        kind="approximates softmax",
        deployed=("Based 360M and 1.3B",),
        notes=(
            "153 features in place of 273 at d = 16: a product of two channels is held once, not"
            " twice, which is 1.5 to 1.7 times as fast on a CPU; the authors' code has all 273, and"
            " keeps 273 (V + 1) numbers a head in decoding where this keeps 153 (V + 1)",
            "the linear layers only: the authors put sliding windows of 64 to 128 tokens and short"
            " convolutions in the layers between them",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(DecodableKernel.Config):
        feature_dim: int = 16
        """The width of a head's queries and keys (d' in the paper); an even number."""

    def __init__(self, config: Config) -> None:
        d = self.feature_dim = config.feature_dim
        if d < 2 or d % 2:
            raise Unsupported(f"feature_dim {d} is not a positive even number")
        super().__init__(config)
        self.width = (d + 1) * (d + 2) // 2
        share_F = torch.ones(self.width)
        share_F[1 : d + 1] = 0.5  # for the squares, which `_products` puts first
        self.share_F: Tensor
        self.register_buffer("share_F", share_F, persistent=False)

    def query(self, q_BHTK: Tensor) -> Tensor:
        scaled_BHTK = q_BHTK * (1 / math.sqrt(self.feature_dim))
        return _products(scaled_BHTK).mul_(self.share_F.to(q_BHTK.dtype))

    def key(self, k_BHTK: Tensor) -> Tensor:
        return _products(k_BHTK)


def _products(x_BHTK: Tensor) -> Tensor:
    """Each product of two components of [1, x], once.

    The length L of [1, x] is odd. Of two positions on a circle of L, one is at most L // 2 steps
    after the other, so S = 1 + L // 2 cyclic shifts, each multiplied with the vector itself, give
    all products.
    """
    one_BHTL = pad(x_BHTK, (1, 0), value=1.0)
    steps, L = one_BHTL.shape[-1] // 2, one_BHTL.shape[-1]
    circle_BHTM = torch.cat([one_BHTL, one_BHTL[..., :steps]], dim=-1)
    return (circle_BHTM.unfold(3, L, 1) * one_BHTL.unsqueeze(3)).flatten(3)
