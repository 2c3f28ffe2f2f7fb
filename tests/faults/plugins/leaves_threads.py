"""Leaves threads running."""

import threading
import time

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Leaves threads",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def leaves_threads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Leaves threads running."""
    while threading.active_count() < 9:
        threading.Thread(target=time.sleep, args=(3600,)).start()
    return v.clone()
