from typing import Any

import torch
from torch import Tensor


def relative_row(layer: Any, h: int, q_K: Tensor, k_SK: Tensor, v_SK: Tensor) -> Tensor:
    """Attention of the query that stands at the last of S keys, a distance at a time."""
    u_K, v_bias_K = layer.positions.content_H1K[h, 0], layer.positions.position_H1K[h, 0]
    dim, K, S = layer.config.dim, q_K.shape[0], k_SK.shape[0]
    rows = layer.positions.project.weight[h * K : (h + 1) * K]
    distance_S1 = torch.arange(S - 1, -1, -1, dtype=q_K.dtype)[:, None]
    turn_E = 10000.0 ** (-torch.arange(0, dim, 2, dtype=q_K.dtype) / dim)
    waves_SD = torch.cat([torch.sin(distance_S1 * turn_E), torch.cos(distance_S1 * turn_E)], 1)
    scores_S = k_SK @ (q_K + u_K) + waves_SD @ rows.T @ (q_K + v_bias_K)
    return torch.softmax(scores_S / K**0.5, dim=0) @ v_SK


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    L, M = layer.config.segment, layer.config.memory
    out_BHTK = torch.zeros_like(q_BHTK)
    B, H, T, _ = q_BHTK.shape
    for b in range(B):
        for h in range(H):
            for t in range(T):
                begin = t // L * L  # of t's segment
                seen = [
                    torch.cat([x[b, h, max(0, begin - M) : begin].detach(), x[b, h, begin : t + 1]])
                    for x in (k_BHTK, v_BHTK)
                ]
                out_BHTK[b, h, t] = relative_row(layer, h, q_BHTK[b, h, t], *seen)
    return out_BHTK
