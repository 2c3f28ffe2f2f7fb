"""Sleeps for an hour in C, and no other thread of Python can run meanwhile."""

import ctypes

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Hangs in c",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def hangs_in_c(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Sleeps for an hour in C, and no other thread of Python can run meanwhile."""
    ctypes.PyDLL(None).sleep(3600)
    return v
