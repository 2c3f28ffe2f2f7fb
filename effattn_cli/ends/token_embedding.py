"""The rows of a table by the numbers of the tokens."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from effattn_cli.attention import ModelPart
from effattn_cli.cards import Card
from effattn_cli.parts.weights import repeated


@final
class TokenEmbedding(ModelPart):
    """The embedding of a model: a row of a table for each token.

    (B, T) numbers below `vocab` to (B, T, D).
    """

    card = Card(
        title="Token embedding", families=("end of a model",), paper="", year=0, time="N",
        memory="N", causal="optional", kind="model part", padding=False,
    )  # fmt: skip

    @dataclass(frozen=True, kw_only=True)
    class Config(ModelPart.Config):
        vocab: int = 32_000
        """Rows of the table."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.table_VD = repeated(config.vocab, config.dim)

    def example(
        self,
        batch: int,
        tokens: int,
        *,
        device: torch.device,
        dtype: torch.dtype,  # noqa: ARG002
    ) -> Tensor:
        """Random tokens: (B, T)."""
        return torch.randint(self.config.vocab, (batch, tokens), device=device)

    def forward(self, tokens_BT: Tensor, _: Any = None) -> Tensor:
        return torch.nn.functional.embedding(tokens_BT, self.table_VD)
