"""Cannot be made."""

from torch import Tensor

from effattn_cli.attention import Attention, Card


class RaisesInConstruction(Attention):
    """Cannot be made."""

    card = Card(
        title="Raises in construction",
        families=("fault",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="optional",
        kind="own mechanism",
    )

    def __init__(self, config: Attention.Config) -> None:
        super().__init__(config)
        raise KeyError("weights")

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        return v_BHTK
