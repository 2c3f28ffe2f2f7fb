"""Cannot be called."""

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Raises forward",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def raises_forward(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Cannot be called."""
    raise ValueError("no \x1b[31mred\x1b[0m output")
