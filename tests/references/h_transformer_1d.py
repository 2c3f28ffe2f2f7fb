from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import visible

OPTIONS = {"rank": 4}


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """All pairs of tokens, the score of each from the means of its level."""
    B, _, T, K = q_BHTK.shape
    there_BT = torch.ones(B, T, dtype=torch.bool) if valid_BT is None else valid_BT
    at_T = torch.arange(T)
    score_BHTS = torch.zeros(1, dtype=q_BHTK.dtype)
    left_TT = torch.ones(T, T, dtype=torch.bool)  # pairs that no lower level has
    level = 0
    while left_TT.any():
        block_T = at_T // (layer.config.rank * 2**level)
        near_TT = (block_T[:, None] - block_T).abs() <= 1
        q = q_BHTK if layer.causal else means(q_BHTK, there_BT, 2**level)
        k = means(k_BHTK, there_BT, 2**level)
        dots_BHTS = torch.einsum("bhtk,bhsk->bhts", q, k) / K**0.5
        score_BHTS = score_BHTS + dots_BHTS * (near_TT & left_TT)
        left_TT = left_TT & ~near_TT
        level += 1
    weight_BHTS = torch.exp(score_BHTS) * visible(T, valid_BT, causal=layer.causal, batch=B)
    return torch.einsum("bhts,bhsk->bhtk", weight_BHTS / weight_BHTS.sum(-1, keepdim=True), v_BHTK)


def means(x_BHTK: Tensor, there_BT: Tensor, size: int) -> Tensor:
    """For each token the mean over those of its group that are there."""
    T = x_BHTK.shape[2]
    parts = []
    for first in range(0, T, size):
        there = there_BT[:, None, first : first + size, None].to(x_BHTK.dtype)
        sums = (x_BHTK[:, :, first : first + size] * there).sum(2, keepdim=True)
        mean = sums / there.sum(2, keepdim=True).clamp(min=1)
        parts.append(mean.expand(-1, -1, min(size, T - first), -1))
    return torch.cat(parts, dim=2)
