"""Blocks of tokens mixed by a learned matrix whose rows and columns sum to 1.

Z blocks, Y mixed blocks of C tokens, E the width of what is mixed.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effattn_cli.attention import Decodable
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.precision import wide

HIDDEN = -1e30  # log of a hidden entry: finite, so that differences are finite too
FAINT = 1e-30  # a share below this counts as nothing


@dataclass(frozen=True)
class Balance:
    """How logits become a mixing matrix."""

    iterations: int
    temperature: float
    causal: bool

    def __call__(self, logits_BHZZ: Tensor, seen: Tensor | None) -> Tensor:
        """exp(logits) with rows, then columns, divided by their sums, `iterations` times.

        If causal, the column sum for row i covers the rows up to i: nothing depends on a later row.
        """
        logits_BHZZ = _hidden(logits_BHZZ / self.temperature, seen)
        for _ in range(self.iterations):
            logits_BHZZ = _hidden(logits_BHZZ.log_softmax(-1), seen)
            if self.causal:
                logits_BHZZ = logits_BHZZ - running(logits_BHZZ)
            else:
                logits_BHZZ = logits_BHZZ.log_softmax(-2)
            logits_BHZZ = _hidden(logits_BHZZ, seen)
        return logits_BHZZ.exp()


def _hidden(logits_BHZZ: Tensor, seen: Tensor | None) -> Tensor:
    return logits_BHZZ if seen is None else logits_BHZZ.masked_fill(~seen, HIDDEN)


def running(x_BHZY: Tensor) -> Tensor:
    """The log-sum-exp over the rows up to each row."""
    if not pieces_pay(x_BHZY):
        return x_BHZY.logcumsumexp(2)
    run: Any = _Running.apply
    return run(x_BHZY)


class _Running(torch.autograd.Function):
    """Row by row: on a CPU `logcumsumexp` goes element by element, three times in its gradient.

    The gradient sums over the rows from each one on, which decay by `keep` per row.
    """

    @staticmethod
    def forward(ctx: Any, x_BHZY: Tensor) -> Tensor:
        run_BHZY = x_BHZY.clone()
        rows = run_BHZY.unbind(2)
        for last, row in pairwise(rows):
            torch.logaddexp(last, row, out=row)
        ctx.save_for_backward(x_BHZY, run_BHZY)
        return run_BHZY

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x_BHZY, run_BHZY = ctx.saved_tensors
        keep_BHZY = torch.exp(run_BHZY[:, :, :-1] - run_BHZY[:, :, 1:])
        sum_BHZY = grads[0].clone()
        rows = sum_BHZY.unbind(2)
        steps = zip(rows, rows[1:], keep_BHZY.unbind(2), strict=False)
        for row, after, keep in reversed(list(steps)):
            row.addcmul_(keep, after)
        return torch.exp(x_BHZY - run_BHZY) * sum_BHZY


class SortingNetwork(nn.Module):
    """Which blocks each block is sorted from, by two layers over the sums of queries and keys."""

    def __init__(self, heads: int, head_dim: int, blocks: int, balance: Balance) -> None:
        super().__init__()
        self.balance, H, K = balance, heads, head_dim
        self.inner_HEK = nn.Parameter(torch.randn(H, 2 * K, K) * (2 * K) ** -0.5)
        self.outer_HKZ = nn.Parameter(torch.randn(H, K, blocks) * K**-0.5)

    def forward(self, q_BHZCK: Tensor, k_BHZCK: Tensor, valid_BxZC: Tensor | None) -> Tensor:
        """The matrix (B, H, Z, Z), in at least float32; keys at padding are 0.

        If causal, a block's sums cover the tokens up to its first.
        """
        if valid_BxZC is not None:
            q_BHZCK = q_BHZCK.masked_fill(~valid_BxZC.unsqueeze(-1), 0)
        sums_BHZE = torch.cat([wide(x).sum(3) for x in (q_BHZCK, k_BHZCK)], dim=-1)
        Z = sums_BHZE.shape[2]
        if self.balance.causal:
            first_BHZE = wide(torch.cat([x[:, :, 1:, 0] for x in (q_BHZCK, k_BHZCK)], dim=-1))
            before_BHZE = sums_BHZE[:, :, :-1].cumsum(2) + first_BHZE
            return pad(self.past(self.logits(before_BHZE, Z - 1)), (0, 1, 1, 0))
        seen_BxZZ = None
        if valid_BxZC is not None:
            there_BxZ = valid_BxZC[..., 0]
            seen_BxZZ = there_BxZ.unsqueeze(-1) & there_BxZ.unsqueeze(-2)
        return self.balance(self.logits(sums_BHZE, Z), seen_BxZZ)

    def past(self, logits_BHZZ: Tensor) -> Tensor:
        """Row i belongs to block i + 1, which sees the blocks up to block i."""
        return self.balance(logits_BHZZ, torch.ones_like(logits_BHZZ[0, 0]).tril() > 0)

    def logits(self, sums_BHZE: Tensor, blocks: int) -> Tensor:
        """The logits of each block for the first `blocks` blocks."""
        inner_HEK, outer_HKZ = (x.to(sums_BHZE.dtype) for x in (self.inner_HEK, self.outer_HKZ))
        return (sums_BHZE @ inner_HEK).relu() @ outer_HKZ[..., :blocks]


def mixed(sort_BHYZ: Tensor, row_BHZCE: Tensor) -> Tensor:
    """Token by token, the blocks weighted by each row of `sort_BHYZ`: (B, H, Y, C, E)."""
    mixed_BHYF = sort_BHYZ.to(row_BHZCE.dtype) @ row_BHZCE.flatten(3)
    return mixed_BHYF.view(*mixed_BHYF.shape[:3], *row_BHZCE.shape[3:])


def beside(sort_BHYZ: Tensor, row_BHZCE: Tensor) -> Tensor:
    """Each block preceded by the block that is mixed for it: (B, H, Z, 2 C, E)."""
    return torch.cat([mixed(sort_BHYZ, row_BHZCE), row_BHZCE], dim=3)


def shares(sort_BHYZ: Tensor, valid_BxZC: Tensor, *, own: bool) -> Tensor:
    """The share of the weights that falls on real tokens, per mixed token (B, H, Y, C, 1).

    `own`: followed by those of the block's own tokens.
    """
    real_BxZC1 = valid_BxZC.unsqueeze(-1).to(sort_BHYZ.dtype)
    share_BHYC1 = mixed(sort_BHYZ, real_BxZC1) / sort_BHYZ.sum(-1)[..., None, None].clamp(min=FAINT)
    if own:
        share_BHYC1 = torch.cat([share_BHYC1, real_BxZC1.expand_as(share_BHYC1)], dim=3)
    return share_BHYC1.clamp(min=FAINT)


@dataclass(frozen=True)
class SortedBlocks:
    """Decoding state: all keys and values, and those sorted for the current block."""

    row_BHSE: Tensor  # key and value by position, the first `length` of S filled
    sum_BHE: Tensor  # of queries and keys so far
    logits_BHZZ: Tensor  # of each block but the first, for the blocks before it
    near_BHCE: Tensor
    length: int

    @classmethod
    def init(
        cls,
        layer: "Decodable[SortedBlocks]",
        batch: int,
        context: int,
        blocks: int,
        size: int,
    ) -> "SortedBlocks":
        """Room for `blocks` blocks of `size` tokens, and `context` tokens of random content."""
        H, E = layer.heads, 2 * layer.head_dim
        sum_BHE = wide(layer.blank(batch, H, E, random=context > 0) * context**0.5)
        return cls(
            layer.blank(batch, H, blocks * size, E, random=True),
            sum_BHE,
            sum_BHE.new_empty(batch, H, blocks - 1, blocks - 1).normal_(),
            layer.blank(batch, H, size, E, random=True),
            context,
        )
