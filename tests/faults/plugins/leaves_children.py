"""Leaves a child running, and a grandchild in a session of its own."""

import subprocess

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Leaves children",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def leaves_children(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Leaves a child running, and a grandchild in a session of its own."""
    subprocess.Popen(["sleep", "3600"])
    subprocess.Popen(["sh", "-c", "setsid sleep 3600 &"], start_new_session=True)
    return v.clone()
