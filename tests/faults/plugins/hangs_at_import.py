"""Cannot be imported in time."""

import time

from torch import Tensor

from effattn_cli.attention import Card, variant

time.sleep(3600)


@variant(
    card=Card(
        title="Hangs at import",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def hangs_at_import(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Cannot be imported in time."""
    return v
