"""Cannot be imported."""

from torch import Tensor

from effattn_cli.attention import Card, variant

raise ImportError("no such thing")


@variant(
    card=Card(
        title="Raises at import",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def raises_at_import(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Cannot be imported."""
    return v
