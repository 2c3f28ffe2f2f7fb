import math
from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import softmax_attention, visible


def reference(
    layer: Any, q: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, *more: Tensor | None
) -> Tensor:
    """Head by head of the output, or pair by pair of heads in version 1."""
    *shares, valid_BT = more
    B, _, T, _ = q.shape
    seen_B1TT = visible(T, valid_BT, causal=layer.causal, batch=B)

    def attended(query: int, key: int, values_BxTV: Tensor) -> Tensor:
        one = slice(query, query + 1), slice(key, key + 1)
        return softmax_attention(q[:, one[0]], k_BGTK[:, one[1]], values_BxTV, seen_B1TT)

    if shares:
        (lambda_BHT,) = shares
        assert lambda_BHT is not None
        outs = []
        for h in range(layer.heads):
            g = h * layer.kv_heads // layer.heads
            v_BxTK = v_BGTK[:, g : g + 1]
            weight_Bx = torch.sigmoid(lambda_BHT[:, h, :, None])[:, None]
            outs.append(attended(2 * h, g, v_BxTK) - weight_Bx * attended(2 * h + 1, g, v_BxTK))
        return torch.cat(outs, dim=1)
    start = 0.8 - 0.6 * math.exp(-0.3 * layer.config.depth)
    a, b, c, d = layer.lambda_4K
    weight = torch.exp(a @ b) - torch.exp(c @ d) + start
    outs = []
    for pair in range(layer.heads // 2):
        g = 2 * (pair * layer.kv_heads // layer.heads)
        v_BxTV = torch.cat([v_BGTK[:, g], v_BGTK[:, g + 1]], dim=-1)[:, None]
        y = attended(2 * pair, g, v_BxTV) - weight * attended(2 * pair + 1, g + 1, v_BxTV)
        y = (1 - start) * y / torch.sqrt(y.square().mean(-1, keepdim=True) + 1e-5)
        outs += torch.chunk(y, 2, dim=-1)
    return torch.cat(outs, dim=1)
