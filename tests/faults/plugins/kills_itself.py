"""Kills its own process."""

import os
import signal

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Kills itself",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def kills_itself(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Kills its own process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return v
