"""Set Transformer: attention through a few learned points."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from effattn_cli.attention import Attention, Card, SurveyRow, Unsupported, merge_heads
from effattn_cli.parts.exact import exact


@final
class SetTransformer(Attention):
    """Learned points attend to the whole set, and every token attends to the points.

    summary = softmax(points k^T / sqrt D) v, then
    out = softmax(q (summary W_k)^T / sqrt D) (summary W_v), with M points and D = H K:
    the induced set attention block, ISAB (Set Transformer, Lee et al. 2019, arXiv:1810.00825).
    """

    card = Card(
        title="Set Transformer",
        families=("memory",),
        paper="arXiv:1810.00825",
        year=2019,
        time="N k",
        memory="N",
        causal="never",
        kind="own mechanism",
        aliases=("isab", "induced-set"),
        survey=SurveyRow(complexity="kN", decode=False, classes="M"),
        notes=(
            "only the two attentions of the ISAB: their residuals (the query added to the output),"
            " LayerNorms and row-wise feed-forwards are left to the block",
            "logits are divided by sqrt D, the full width, as in the authors' code: not by sqrt K",
            "the points are learned as queries; the authors learn them before a projection",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        points: int = 32
        """Learned points that read the set (m in the paper)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.points < 1:
            raise Unsupported(f"points {config.points} is below 1")
        width = self.heads * self.head_dim
        self.points_HMK = nn.Parameter(torch.randn(self.heads, config.points, self.head_dim))
        self.summary_k = nn.Linear(width, width, bias=False)
        self.summary_v = nn.Linear(width, width, bias=False)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        # `exact` divides by sqrt K; the rest of sqrt D is applied to the smaller operand.
        rest = self.heads**-0.5
        points_BHMK = (self.points_HMK * rest).expand(q_BHTK.shape[0], -1, -1, -1)
        summary_BHMK = exact(points_BHMK, k_BHTK, v_BHTK, valid_BT)
        summary_BMD = merge_heads(summary_BHMK)
        k_BHMK = self.split("q", self.summary_k(summary_BMD)) * rest
        return exact(q_BHTK, k_BHMK, self.split("q", self.summary_v(summary_BMD)))
