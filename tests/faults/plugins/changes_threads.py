"""Takes more threads than it was given."""

import torch
from torch import Tensor

from effattn_cli.attention import Card, variant

torch.set_num_threads(torch.get_num_threads() + 2)


@variant(
    card=Card(
        title="Changes threads",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def changes_threads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Takes more threads than it was given."""
    return v.clone()
