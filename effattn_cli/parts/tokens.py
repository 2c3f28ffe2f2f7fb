"""Mixers of whole tokens: no heads, and no projections around them."""

from torch import Tensor, nn

from effattn_cli.attention import Attention, Unsupported, merge_heads


class TokenMixer(Attention):
    """Acts on x itself in the layer; in the core, on the values, heads merged (q, k are unused).

    A variant defines `mix_tokens` instead of `attend`.
    """

    def __init__(self, config: Attention.Config) -> None:
        super().__init__(config)
        if self.heads * self.head_dim != config.dim:
            raise Unsupported(f"{self.card.title} has no heads to be {self.head_dim} wide")

    def make_projections(self, dim: int) -> dict[str, nn.Module]:  # noqa: ARG002
        return {}

    def mix_tokens(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """(B, T, D) to (B, T', D)."""
        raise NotImplementedError

    def attend(
        self,
        q_BHTK: Tensor,  # noqa: ARG002
        k_BHTK: Tensor,  # noqa: ARG002
        v_BHTK: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        return self.split("q", self.mix_tokens(merge_heads(v_BHTK), valid_BT))

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        return self.mix_tokens(x_BTD, valid_BT)
