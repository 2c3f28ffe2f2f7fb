"""Funnel-Transformer: pooled queries that attend to the whole sequence."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from effattn_cli.attention import Attention, Card, SurveyRow
from effattn_cli.parts.relative import RelativeScores


@final
class FunnelTransformer(Attention):
    """Halves the length: each pair of tokens becomes one query, which sees all unpooled keys.

    h' are the means of pairs of h, q = W_q h', and k, v are projections of all of h, with the
    scores of Transformer-XL, ((q_i + u) k_j + (q_i + v) W_r R_{2i - j}) / sqrt K: this is the first
    layer of a block, where the length shrinks (Funnel-Transformer, Dai et al. 2020,
    arXiv:2006.03236).
    """

    card = Card(
        title="Funnel-Transformer",
        families=("fixed-pattern", "downsampling"),
        paper="arXiv:2006.03236",
        year=2020,
        time="N^2",
        memory="N",
        causal="never",
        kind="own mechanism",
        shortens="always",
        survey=SurveyRow(complexity="N^2", decode=True, classes="FP+DS"),
        notes=(
            "the survey says that it decodes; its decoder only restores the length, and nothing in"
            " the model is causal",
            "the pooling layer alone: the paper's residual adds h', so the block pools as well",
            "no scores of token types; with separate_cls, [CLS] gets and gives no positions, and"
            " the last token may drop out of the queries, as in the authors' code",
            "a pair is real if both of its tokens are, as in the authors' code",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        separate_cls: bool = True
        """Whether the first token is [CLS], pooled with nothing; the authors' default."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.separate = config.separate_cls
        self.positions = RelativeScores(config.dim, self.heads, self.head_dim)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        return self._mixed(self._pooled(q_BHTK), k_BHTK, v_BHTK, valid_BT)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """Pools before projecting: both are linear, and only half as many queries are projected."""
        x_BPD = self._pooled(x_BTD[:, None])[:, 0]
        inputs = self.project_each({"q": x_BPD, "k": x_BTD, "v": x_BTD})
        q_BHPK, k_BHTK, v_BHTK = self.repeated(inputs)
        return self.output(self._mixed(q_BHPK, k_BHTK, v_BHTK, valid_BT))

    def _mixed(
        self, q_BHPK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        T, pairs = k_BHTK.shape[2], q_BHPK.shape[2]
        # With [CLS] separate, tokens 1 and 2 are the second pair, so the first starts at -1.
        start = -1 if self.separate else 0
        r_HWK = self.positions.embedded(start + 2 * (pairs - 1), T + 2 * pairs)
        inputs = q_BHPK, k_BHTK, v_BHTK, r_HWK, valid_BT
        return self.positions.attend(*inputs, start=start, stride=2, aside=self.separate)

    def output_mask(self, valid_BT: Tensor) -> Tensor:
        return self._pooled(valid_BT.float()[:, None, :, None])[:, 0, :, 0] == 1

    def _pooled(self, x_BHTE: Tensor) -> Tensor:
        """Means of pairs, of which the last may be a single token: (B, H, P, E)."""
        if self.separate:  # [CLS] is paired with itself, and the last token may be dropped
            last = max(1, x_BHTE.shape[2] - 1)
            x_BHTE = torch.cat([x_BHTE[:, :, :1], x_BHTE[:, :, :last]], dim=2)
        return avg_pool2d(x_BHTE.contiguous(), (2, 1), ceil_mode=True)
