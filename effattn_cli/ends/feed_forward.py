"""A layer that mixes no tokens."""

from typing import Any, final

from torch import Tensor

from effattn_cli.attention import ModelPart
from effattn_cli.cards import Card


@final
class OnlyFeedForward(ModelPart):
    """A layer without a mixer: in the scope `block` its feed-forward alone, with norm and residual.

    By itself it gives x back.
    """

    card = Card(
        title="Feed-forward alone", families=("layer without a mixer",), paper="", year=0, time="N",
        memory="N", causal="optional", kind="model part", padding=False,
    )  # fmt: skip

    def forward(self, x_BTD: Tensor, _: Any = None) -> Tensor:
        return x_BTD
