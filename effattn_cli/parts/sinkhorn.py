"""Blocks of tokens mixed by a matrix whose rows and columns add up to 1.

Z blocks, Y mixed ones of C tokens, E the width of what is mixed.
"""

import torch
from torch import Tensor

HIDDEN = -1e30  # the logarithm of what is not there: finite, so that differences are
FAINT = 1e-30


def balanced(logits_BHZZ: Tensor, seen: Tensor, iterations: int, *, causal: bool) -> Tensor:
    """exp(logits) with rows, then columns, divided by their sums, so many times.

    Causal, a column's sum for row i goes over the rows up to i: nothing depends on a later row.
    """
    logits_BHZZ = logits_BHZZ.masked_fill(~seen, HIDDEN)
    for _ in range(iterations):
        logits_BHZZ = logits_BHZZ - logits_BHZZ.logsumexp(-1, keepdim=True)
        logits_BHZZ = logits_BHZZ.masked_fill(~seen, HIDDEN)
        if causal:
            logits_BHZZ = logits_BHZZ - logits_BHZZ.logcumsumexp(-2)
        else:
            logits_BHZZ = logits_BHZZ - logits_BHZZ.logsumexp(-2, keepdim=True)
        logits_BHZZ = logits_BHZZ.masked_fill(~seen, HIDDEN)
    return logits_BHZZ.exp()


def mixed(sort_BHYZ: Tensor, row_BHZCE: Tensor) -> Tensor:
    """Token by token, the blocks weighted by each row of `sort`: (B, H, Y, C, E)."""
    mixed_BHYF = sort_BHYZ.to(row_BHZCE.dtype) @ row_BHZCE.flatten(3)
    return mixed_BHYF.view(*mixed_BHYF.shape[:3], *row_BHZCE.shape[3:])


def mixed_real(sort_BHYZ: Tensor, row_BHZCE: Tensor, real_BxZC: Tensor) -> tuple[Tensor, Tensor]:
    """`mixed` over the real tokens alone, and what to add to the logits of each (B, H, Y, C).

    A mixed token counts by the share of its weights that falls on real tokens.
    """
    one_BxZC1 = real_BxZC.unsqueeze(-1).to(sort_BHYZ.dtype)
    real_BHYC = mixed(sort_BHYZ, one_BxZC1).squeeze(-1)
    share_BHYC = real_BHYC / sort_BHYZ.sum(-1, keepdim=True).clamp(min=FAINT)
    none_BHYC = share_BHYC <= FAINT
    share_BHYC = share_BHYC.masked_fill(none_BHYC, 1)
    log_BHYC = share_BHYC.log().to(row_BHZCE.dtype)
    log_BHYC = log_BHYC.masked_fill(none_BHYC, torch.finfo(row_BHZCE.dtype).min)
    near_BHYCE = mixed(sort_BHYZ, row_BHZCE.masked_fill(~real_BxZC.unsqueeze(-1), 0))
    return near_BHYCE / share_BHYC.unsqueeze(-1).to(row_BHZCE.dtype), log_BHYC
