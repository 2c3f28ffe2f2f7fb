"""Can be called, but not trained."""

from typing import Any

import torch
from torch import Tensor

from effattn_cli.attention import Card, variant


class Bad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise ArithmeticError("no way back")


@variant(
    card=Card(
        title="Raises backward",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def raises_backward(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Can be called, but not trained."""
    return Bad.apply(v)  # type: ignore[no-untyped-call]
