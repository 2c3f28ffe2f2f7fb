"""A plugin that calls FlexAttention, a higher-order operator that counting modes cannot follow."""

from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from effattn_cli.attention import Attention, Card


class Flex(Attention):
    """Exact attention by FlexAttention."""

    card = Card(
        title="Flex",
        families=("test",),
        paper="",
        year=2026,
        time="N^2",
        memory="N",
        causal="never",
        kind="exact",
        padding=False,
    )

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        out: Tensor = flex_attention(q_BHTK, k_BHTK, v_BHTK)
        return out
