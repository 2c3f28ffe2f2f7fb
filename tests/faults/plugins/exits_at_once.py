"""Ends the process, and says that all is well."""

import os

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Exits at once",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def exits_at_once(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Ends the process, and says that all is well."""
    os._exit(0)
    return v
