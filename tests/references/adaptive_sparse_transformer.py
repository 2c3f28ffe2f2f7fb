from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import visible


def entmax_by_bisection(z_S: Tensor, alpha: Tensor) -> Tensor:
    """The definition; tau by halving without a gradient, then one step that carries it."""
    e = 1 / (alpha - 1)

    def weights(tau: Tensor) -> Tensor:
        over_S = (alpha - 1) * z_S - tau
        return torch.where(over_S > 0, over_S, 1.0) ** e * (over_S > 0)

    with torch.no_grad():
        high = ((alpha - 1) * z_S).amax(-1, keepdim=True)
        low = high - 1
        for _ in range(80):
            middle = (low + high) / 2
            above = weights(middle).sum(-1, keepdim=True) >= 1
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    tau = low.requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(weights(tau).sum(), tau)
    tau = low.detach() - (weights(low.detach()).sum(-1, keepdim=True) - 1) / slope
    return weights(tau)


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, H, T, K = q_BHTK.shape
    scores_BHTS = torch.einsum("bhtk,bhsk->bhts", q_BHTK, k_BHTK) / K**0.5
    seen_BHTS = visible(T, valid_BT, causal=layer.causal, batch=B)
    scores_BHTS = scores_BHTS.masked_fill(~seen_BHTS, -1e6)
    if layer.config.alpha is None:
        alpha_H = 1 + 1 / (1 + torch.exp(-layer.alpha_H11.flatten()))
    else:
        alpha_H = torch.full((H,), layer.config.alpha, dtype=q_BHTK.dtype)
    weights = [entmax_by_bisection(scores_BHTS[:, h], alpha_H[h]) for h in range(H)]
    return torch.einsum("bhts,bhsk->bhtk", torch.stack(weights, dim=1), v_BHTK)
