"""cosFormer: ReLU features, reweighted by a cosine of the distance."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from effattn_cli.attention import Card, Unsupported
from effattn_cli.parts.chunked import DecodableKernel
from effattn_cli.parts.precision import wide


@final
class CosFormer(DecodableKernel):
    """Weights a key by the product of the ReLUs of q and k, and by a cosine of its distance.

    The weight of key j for query i is relu(q_i) relu(k_j) cos(pi/2 (i - j) / M), 0 at distance M.
    The cosine of a difference is cos a cos b + sin a sin b: with a_i = pi/2 i / M,
    phi(x_i) = [relu(x_i) cos a_i, relu(x_i) sin a_i] and
    out = phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1)
    (cosFormer, Qin et al. 2022, arXiv:2202.08791). M: reach.
    """

    card = Card(
        title="cosFormer",
        families=("kernel", "linear"),
        paper="arXiv:2202.08791",
        year=2022,
        time="N",
        memory="N",
        state="1",
        causal="optional",
        kind="own mechanism",
        notes=(
            "M is the longest length that the layer is made for, not that of each sequence as in"
            " the paper: decoding has to know it beforehand",
            "the denominator is at least 1e-6, as in the authors' code: a query without a positive"
            " number gives 0",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(DecodableKernel.Config):
        reach: int | None = None
        """The distance at which a key weighs nothing (M in the paper); the longest length unless
        it is given."""

    epsilon = 0.0
    positional = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        reach = config.tokens if config.reach is None else config.reach
        if reach < config.tokens:  # beyond it, weights would become negative
            raise Unsupported(f"reach {reach} is below the longest length, {config.tokens}")
        self.width, self.floor = 2 * self.head_dim, 1e-6
        self.angle = math.pi / 2 / reach

    def query_at(self, q_BHTK: Tensor, first: int) -> Tensor:
        return self._turned(q_BHTK, first)

    def key_at(self, k_BHTK: Tensor, first: int) -> Tensor:
        return self._turned(k_BHTK, first)

    def _turned(self, x_BHTK: Tensor, first: int) -> Tensor:
        last, like = first + x_BHTK.shape[2], wide(x_BHTK[..., :0])
        angle_T = torch.arange(first, last, dtype=like.dtype, device=like.device) * self.angle
        turn_T21 = torch.stack([angle_T.cos(), angle_T.sin()], dim=1).unsqueeze(2)
        return (x_BHTK.relu().unsqueeze(3) * turn_T21.to(x_BHTK.dtype)).flatten(3)
