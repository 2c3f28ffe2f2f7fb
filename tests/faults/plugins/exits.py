"""Ends Python."""

import sys

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Exits",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def exits(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Ends Python."""
    sys.exit(5)
    return v
