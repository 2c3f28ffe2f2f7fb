"""Reads from address 0."""

import ctypes

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Segfaults",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def segfaults(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Reads from address 0."""
    ctypes.string_at(0)
    return v
