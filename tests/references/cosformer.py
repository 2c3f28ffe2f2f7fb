import math
from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import visible


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """The weight of every pair, with the cosine of its distance."""
    B, _, T, _ = q_BHTK.shape
    M = layer.config.reach or layer.config.tokens
    at_T = torch.arange(T, dtype=torch.float64)
    near_TS = torch.cos(math.pi / 2 * (at_T[:, None] - at_T[None, :]) / M)
    weights_BHTS = torch.einsum("bhtk,bhsk->bhts", q_BHTK.clamp(min=0), k_BHTK.clamp(min=0))
    weights_BHTS = weights_BHTS * near_TS * visible(T, valid_BT, causal=layer.causal, batch=B)
    total_BHT1 = weights_BHTS.sum(-1, keepdim=True).clamp(min=1e-6)
    return torch.einsum("bhts,bhsk->bhtk", weights_BHTS / total_BHT1, v_BHTK)
