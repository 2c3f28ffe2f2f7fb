"""Seeds the generators anew."""

import torch
from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Changes seeds",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def changes_seeds(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Seeds the generators anew."""
    torch.manual_seed(99)
    return v.clone()
