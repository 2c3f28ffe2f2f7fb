"""Works for ever in C."""

import re

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Works in c",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def works_in_c(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Works for ever in C."""
    re.match("(a+)+$", "a" * 99 + "b")
    return v
