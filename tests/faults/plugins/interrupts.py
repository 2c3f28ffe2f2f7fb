"""Raises what Ctrl-C raises."""

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Interrupts",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def interrupts(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Raises what Ctrl-C raises."""
    raise KeyboardInterrupt
