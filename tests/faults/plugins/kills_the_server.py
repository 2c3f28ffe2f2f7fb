"""Kills the process that it was forked from, and leaves children in their own sessions."""

import os
import signal
import subprocess

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
    """Kills the process that it was forked from, and leaves children in their own sessions."""
    for _ in range(3):
        subprocess.Popen(["sleep", "3600"], start_new_session=True)
    os.kill(os.getppid(), signal.SIGKILL)
    return v
