from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import softmax_attention, visible


def reference(layer: Any, q_BHTK: Tensor, valid_BT: Tensor | None) -> Tensor:
    """Exact attention to what the layer was given when it was made."""
    B, H, T, _ = q_BHTK.shape
    seen_B1TT = visible(T, valid_BT, causal=layer.causal, batch=B)
    if layer.config.window is not None:
        seen_B1TT = within(seen_B1TT, layer.config.window, causal=layer.causal)
    heads = []
    for h in range(H):
        g = h * layer.kv_heads // H
        k_B1TK, v_B1TK = (
            x[:, g : g + 1, :T].expand(B, -1, -1, -1) for x in (layer.k_1GTK, layer.v_1GTK)
        )
        heads.append(softmax_attention(q_BHTK[:, h : h + 1], k_B1TK, v_B1TK, seen_B1TT))
    return torch.cat(heads, dim=1)


def within(seen_B1TT: Tensor, window: int, *, causal: bool) -> Tensor:
    """Without what is out of a query's reach; it sees itself whatever is padding."""
    T = seen_B1TT.shape[-1]
    far_TT = torch.zeros(T, T, dtype=torch.bool)
    for i in range(T):
        for j in range(T):
            far_TT[i, j] = i - j >= window if causal else abs(i - j) > window // 2
    return (seen_B1TT & ~far_TT) | torch.eye(T, dtype=torch.bool)
