"""Gives infinity."""

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Not finite",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def not_finite(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Gives infinity."""
    return v / 0
