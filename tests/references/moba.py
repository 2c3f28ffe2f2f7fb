from typing import Any

import torch
from torch import Tensor

OPTIONS = {"block": 16, "top": 3}


def reference(
    layer: Any, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """Query by query: the means of the blocks before its own, the best of them, one softmax."""
    B, H, T, K = q_BHTK.shape
    outs = []
    for b in range(B):
        for h in range(H):
            g = h * layer.kv_heads // H
            outs += [_row(layer, q_BHTK[b, h], k_BGTK[b, g], v_BGTK[b, g], t) for t in range(T)]
    return torch.stack(outs).view(B, H, T, K)


def _row(layer: Any, q_TK: Tensor, k_TK: Tensor, v_TK: Tensor, t: int) -> Tensor:
    block, top = layer.config.block, layer.config.top
    own = t // block
    mean_YK = [k_TK[y * block : (y + 1) * block].mean(0) for y in range(own)]
    best = sorted(range(own), key=lambda y: -float((q_TK[t] @ mean_YK[y]).detach()))[: top - 1]
    seen = [j for j in range(t + 1) if j // block in {own, *best}]
    weight_S = torch.softmax(k_TK[seen] @ q_TK[t] / q_TK.shape[1] ** 0.5, dim=0)
    return weight_S @ v_TK[seen]
