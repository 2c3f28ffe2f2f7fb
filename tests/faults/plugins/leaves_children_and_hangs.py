"""Never ends, and neither do its children, each in a session of its own."""

import subprocess
import time

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Leaves children and hangs",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def leaves_children_and_hangs(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Never ends, and neither do its children, each in a session of its own."""
    tree = "setsid sh -c 'sleep 3600; true' & sleep 3600"
    subprocess.Popen(["sh", "-c", tree], start_new_session=True)
    time.sleep(3600)
    return v
