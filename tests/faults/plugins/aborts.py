"""Aborts, as a failed assertion in C does."""

import os

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Aborts",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def aborts(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Aborts, as a failed assertion in C does."""
    os.abort()
    return v
