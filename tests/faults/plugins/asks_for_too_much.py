"""Asks torch for 4 TiB."""

import torch
from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Asks for too much",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def asks_for_too_much(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Asks torch for 4 TiB."""
    return v + torch.empty(2**40, dtype=torch.float32, device=v.device).sum()
