"""Hedgehog: feature maps that learn to imitate softmax."""

from typing import final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Card
from effattn_cli.parts.chunked import DecodableKernel


@final
class Hedgehog(DecodableKernel):
    """Linear attention with feature maps learned per head, to be as spiky as softmax.

    phi(x) = [softmax(W x), softmax(-W x)], over the K components of W x, and
    out = phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1)
    (The Hedgehog & the Porcupine, Zhang et al. 2024, arXiv:2402.04347). W: K x K, one for the
    queries and one for the keys of each head, initialised to the identity.
    """

    card = Card(
        title="Hedgehog",
        families=("kernel", "linear"),
        paper="arXiv:2402.04347",
        year=2024,
        time="N",
        memory="N",
        state="1",
        causal="optional",
        kind="approximates softmax",
        deployed=("LoLCATs Llama 3.1 8B",),
        notes=(
            "only the mechanism: the paper trains W until the weights are those of softmax"
            " attention, which is what makes it come near",
            "softmax over the features and no bias, as in the authors' later code (LoLCATs); the"
            " paper writes exponentials of W x + b",
            "features are not clamped at 1e-12 as they are there; 1e-30 in the denominator keeps it"
            " from 0",
        ),
    )

    def __init__(self, config: DecodableKernel.Config) -> None:
        super().__init__(config)
        self.width = 2 * self.head_dim
        same_HKK = torch.eye(self.head_dim).repeat(self.heads, 1, 1)
        self.query_HKK, self.key_HKK = (nn.Parameter(same_HKK.clone()) for _ in range(2))

    def query(self, q_BHTK: Tensor) -> Tensor:
        return _both_ends(q_BHTK, self.query_HKK)

    def key(self, k_BHTK: Tensor) -> Tensor:
        return _both_ends(k_BHTK, self.key_HKK)


def _both_ends(x_BHTK: Tensor, map_HKK: Tensor) -> Tensor:
    """The largest components of W x dominate the first half, the smallest the second."""
    y_BHTK = x_BHTK @ map_HKK.to(x_BHTK.dtype).mT
    return torch.cat([y_BHTK.softmax(-1), (-y_BHTK).softmax(-1)], dim=-1)
