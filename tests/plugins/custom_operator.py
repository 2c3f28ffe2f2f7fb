"""A plugin whose work is in an operator of its own, which no formula is known for."""

import torch
from torch import Tensor

from effattn_cli.attention import Attention, Card


@torch.library.custom_op("effattn_tests::mix", mutates_args=())
def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT, dim=-1) @ v


@mix.register_fake
def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.empty_like(q)


class CustomOperator(Attention):
    """Softmax attention in an operator of its own."""

    card = Card(
        title="Custom operator",
        families=("test",),
        paper="",
        year=2026,
        time="N^2",
        memory="N^2",
        causal="never",
        kind="exact",
        padding=False,
    )

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        return mix(q_BHTK, k_BHTK, v_BHTK)
