"""Scaling Transformers: a feed-forward layer in which a token uses one unit in 32."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, one_hot

from effattn_cli.attention import Card, FeedForward, SurveyRow, Unsupported, Usage

FEW = 4  # gathered weights are copied, so reading them costs as much as this many read in a product


@final
class ScalingTransformers(FeedForward):
    """A controller picks one hidden unit per block of 32, and only these are computed.

    y = (relu(x W1) * mask) W2, where the mask keeps the unit with the largest of x C1 C2 + c in
    each block of units; C1 is low-rank. A single token reads only the columns of W1 and rows of W2
    that it uses (Sparse is Enough in Scaling Transformers, Jaszczur et al. 2021, arXiv:2111.12763).
    Letters: R rank of the controller, J blocks, U units of a block, F = J U units.
    """

    card = Card(
        title="Scaling Transformers",
        families=("sparse",),
        paper="arXiv:2111.12763",
        year=2021,
        time="N",
        memory="N",
        causal="optional",
        kind="feed-forward",
        survey=SurveyRow(complexity="N^2", decode=True, classes="Sparse"),
        notes=(
            "the survey prints the order of the attention, which is left as it is; time and memory"
            " here are those of the feed-forward alone",
            "many tokens use most units between them, so their products are dense, as the authors'"
            " are; what is saved is saved in decoding",
            "in training all units are computed: Gumbel noise picks, its gradient goes straight"
            " through, and most calls use the soft mask, as in the authors' code",
            "the controller is in float32 at least, since it decides what is read",
            "the sparse projections of q, k and v are left out: attention is exact in the block",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(FeedForward.Config):
        block: int = 32
        """Units of a block, of which one is used (N in the paper)."""
        rank: int = 64
        """Width of the controller; the authors' code has 64, the paper D / block."""
        temperature: float = 0.1
        """How much noise has a say in training."""
        hard: float = 0.3
        """Share of the calls in training whose mask keeps one unit; the others weigh all."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        D, F = config.dim, 4 * config.dim
        if config.block < 1 or F % config.block:
            raise Unsupported(f"block {config.block} does not divide the {F} hidden units")
        if config.rank < 1:
            raise Unsupported(f"rank {config.rank} is below 1")
        self.block, self.temperature, self.hard = config.block, config.temperature, config.hard
        self.narrow_DR = nn.Parameter(torch.randn(D, config.rank) * D**-0.5)
        self.wide_RF = nn.Parameter(torch.randn(config.rank, F) * config.rank**-0.5)
        self.bias_F = nn.Parameter(torch.randn(F) * 1e-6)
        self.up_FD = nn.Parameter(torch.empty(F, D).uniform_(-1, 1) * D**-0.5)
        self.down_FD = nn.Parameter(torch.empty(F, D).uniform_(-1, 1) * F**-0.5)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        x_ND = x_BTD.flatten(0, 1)
        logits_NJU = self._logits(x_ND)
        if self.training:
            return self._trained(x_ND, logits_NJU).view_as(x_BTD)
        unit_NJ1 = logits_NJU.argmax(-1, keepdim=True)
        if FEW * x_ND.shape[0] <= self.block:
            return self._gathered(x_ND, unit_NJ1.squeeze(-1)).view_as(x_BTD)
        h_NJU = (x_ND @ self.up_FD.mT).view_as(logits_NJU)
        h_NJ1 = h_NJU.gather(-1, unit_NJ1).relu()
        h_NJU = torch.zeros_like(h_NJU).scatter(-1, unit_NJ1, h_NJ1)
        return (h_NJU.flatten(1) @ self.down_FD).view_as(x_BTD)

    def _logits(self, x_ND: Tensor) -> Tensor:
        dtype = torch.promote_types(x_ND.dtype, torch.float32)
        narrow_NR = x_ND.to(dtype) @ self.narrow_DR.to(dtype)
        logits_NF = torch.addmm(self.bias_F.to(dtype), narrow_NR, self.wide_RF.to(dtype))
        return logits_NF.view(x_ND.shape[0], -1, self.block)

    def _gathered(self, x_ND: Tensor, unit_NJ: Tensor) -> Tensor:
        """Gathers only the weights that these tokens use."""
        first_J = torch.arange(unit_NJ.shape[1], device=unit_NJ.device) * self.block
        row_NJ = first_J + unit_NJ
        h_NJ = (embedding(row_NJ, self.up_FD) @ x_ND.unsqueeze(-1)).squeeze(-1).relu()
        return embedding_bag(row_NJ, self.down_FD, per_sample_weights=h_NJ, mode="sum")

    def _trained(self, x_ND: Tensor, logits_NJU: Tensor) -> Tensor:
        """Computes all units, under a mask whose gradient reaches the controller."""
        soft_NJU = logits_NJU.softmax(-1)
        noise_NJU = -torch.empty_like(soft_NJU).exponential_().log()  # Gumbel noise
        picked_NJ = (logits_NJU.detach() + self.temperature * noise_NJU).argmax(-1)
        hard_NJU = one_hot(picked_NJ, self.block) + soft_NJU - soft_NJU.detach()
        hard = torch.rand((), device=x_ND.device) < self.hard
        mask_NJU = torch.where(hard, hard_NJU, soft_NJU).to(x_ND.dtype)
        h_NJU = (x_ND @ self.up_FD.mT).view_as(mask_NJU) * mask_NJU
        return h_NJU.relu().flatten(1) @ self.down_FD

    def usage(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Usage:
        F, D = self.up_FD.shape
        total = sum(weight.numel() for weight in self.parameters())
        return Usage(
            total_parameters=total, active_parameters=total - 2 * (F - F // self.block) * D
        )
