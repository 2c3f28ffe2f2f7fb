"""Loses most of the head."""

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Wrong shape",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def wrong_shape(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Loses most of the head."""
    return v[..., :1]
