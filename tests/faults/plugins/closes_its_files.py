"""Closes every file descriptor that it has."""

import os

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Closes its files",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def closes_its_files(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Closes every file descriptor that it has."""
    os.closerange(0, 4096)
    return v
