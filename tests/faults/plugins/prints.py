"""Prints megabytes, and then fails."""

import sys

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Prints",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def prints(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Prints megabytes, and then fails."""
    for stream in (sys.stdout, sys.stderr):
        for _ in range(100):
            stream.write("noise " * 10_000)
        stream.write("\nthe last words\n")
        stream.flush()
    raise RuntimeError("all is printed")
