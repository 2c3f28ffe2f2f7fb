"""TokenLearner: a few learned tokens instead of all."""

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from effattn_cli.attention import Attention, Card, SurveyRow, Unsupported
from effattn_cli.parts.precision import lowest
from effattn_cli.parts.tokens import TokenMixer


@final
class TokenLearner(TokenMixer):
    """Pools the sequence into S tokens, each with its own content-dependent weights.

    token_s = sum_t a_ts x_t with a = softmax over t of MLP(LayerNorm(x)): version 1.1 of
    TokenLearner (Ryoo et al. 2021, arXiv:2106.11297). With `fuse` each token of the sequence
    attends to the learned ones, mixed by a matrix M: out_t = sum_s sigmoid(MLP(LayerNorm(x)))_ts
    (M y)_s.
    """

    card = Card(
        title="TokenLearner",
        families=("downsampling",),
        paper="arXiv:2106.11297",
        year=2021,
        time="N k",
        memory="N",
        causal="never",
        kind="own mechanism",
        shortens="always",
        survey=SurveyRow(complexity="k^2", decode=False, classes="DS"),
        notes=(
            "the core is the module alone, on the values with heads merged; it has no projections",
            "what it saves is in the layers after it, which run on S tokens: the survey's k^2 is"
            " their attention, and leaves out the module, which is N k",
            "version 1.1 of the authors' code; version 1 gates by a sigmoid after convolutions over"
            " a square image",
            "the last bias of the MLP is left out: a softmax over positions cancels it",
            "fuse: the layers between the module and the fuser are left out; the fuser's M starts"
            " from random weights, the authors' from 0, with which it is blind at first",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        learned: int = 8
        """Tokens that are learned (S in the paper)."""
        bottleneck: int = 64
        """Width of the MLP that weighs the tokens."""
        fuse: bool = False
        """Maps the learned tokens back to all tokens, by the paper's TokenFuser."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in ("learned", "bottleneck"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        self.learned, self.fuse = config.learned, config.fuse
        self.weigh = _mlp(config.dim, config.bottleneck, config.learned, bias=False)
        if self.fuse:
            self.gate = _mlp(config.dim, config.bottleneck, config.learned, bias=True)
            self.norm = nn.LayerNorm(config.dim, eps=1e-6)
            self.between = nn.Linear(config.learned, config.learned)
            self.renorm = nn.LayerNorm(config.dim, eps=1e-6)

    def mix_tokens(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        weights_BST = self.weigh(x_BTD).mT
        if valid_BT is not None:
            weights_BST = weights_BST.masked_fill(~valid_BT.unsqueeze(1), lowest(weights_BST))
        learned_BSD = weights_BST.softmax(-1) @ x_BTD
        if not self.fuse:
            return learned_BSD
        mixed_BSD = self.renorm(self.between(self.norm(learned_BSD).mT).mT)
        return self.gate(x_BTD).sigmoid() @ mixed_BSD

    def output_mask(self, valid_BT: Tensor) -> Tensor:
        return valid_BT if self.fuse else valid_BT.new_ones(len(valid_BT), self.learned)


def _mlp(dim: int, narrow: int, out: int, *, bias: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(dim, eps=1e-6),
        nn.Linear(dim, narrow),
        nn.GELU(approximate="tanh"),
        nn.Linear(narrow, out, bias=bias),
    )
