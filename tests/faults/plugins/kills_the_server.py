"""Kills the process that it was forked from."""

import os
import signal

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Kills the server",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def kills_the_server(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Kills the process that it was forked from."""
    os.kill(os.getppid(), signal.SIGKILL)
    return v
