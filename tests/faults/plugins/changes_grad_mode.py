"""Switches gradients off, for good."""

import torch
from torch import Tensor

from effattn_cli.attention import Card, variant

torch.set_grad_enabled(False)


@variant(
    card=Card(
        title="Changes grad mode",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def changes_grad_mode(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Switches gradients off, for good."""
    return v.clone()
