"""The projection to the vocabulary."""

from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn
from torch.nn.functional import linear

from effattn_cli.attention import ModelPart
from effattn_cli.cards import Card
from effattn_cli.parts.weights import repeated


@final
class LmHead(ModelPart):
    """The head of a language model: a norm, and a logit for each token of the vocabulary.

    (B, T, D) to (B, T, V): y = norm(x) W.
    """

    card = Card(
        title="Language-model head", families=("end of a model",), paper="", year=0, time="N",
        memory="N", causal="optional", kind="model part", padding=False,
    )  # fmt: skip

    @dataclass(frozen=True, kw_only=True)
    class Config(ModelPart.Config):
        vocab: int = 32_000
        """Logits of a token."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.norm = nn.RMSNorm(config.dim)
        self.weight_VD = repeated(config.vocab, config.dim)

    @property
    def width(self) -> int:
        return self.config.vocab

    def forward(self, x_BTD: Tensor, _: Any = None) -> Tensor:
        return linear(self.norm(x_BTD), self.weight_VD)
