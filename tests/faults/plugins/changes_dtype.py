"""Makes float64 the default."""

import torch
from torch import Tensor

from effattn_cli.attention import Card, variant

torch.set_default_dtype(torch.float64)


@variant(
    card=Card(
        title="Changes dtype",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def changes_dtype(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Makes float64 the default."""
    return v.clone()
