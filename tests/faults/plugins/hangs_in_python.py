"""Never ends, in Python."""

from torch import Tensor

from effattn_cli.attention import Card, variant


@variant(
    card=Card(
        title="Hangs in python",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )
)
def hangs_in_python(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Never ends, in Python."""
    while True:
        pass
