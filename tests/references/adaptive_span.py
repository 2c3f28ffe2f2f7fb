from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """Weights by exponentials, each times its head's mask, divided by their sum."""
    _, H, T, K = q_BHTK.shape
    ramp, span = layer.config.ramp, layer.config.span
    distance_TT = torch.arange(T)[:, None] - torch.arange(T)
    heads = []
    for h in range(H):
        scores_BTT = torch.einsum("btk,bsk->bts", q_BHTK[:, h], k_BHTK[:, h]) / K**0.5
        z = layer.span_H[h].clamp(0, 1) * span
        # Where m just reaches 0 its slope is taken for 0, as ReLU's is; clamp's would be 1 / R.
        mask_TT = torch.relu((ramp + z - distance_TT) / ramp).clamp(max=1)
        mask_TT = mask_TT * ((distance_TT >= 0) & (distance_TT < span))
        weights_BTT = torch.exp(scores_BTT) * mask_TT
        weights_BTT = weights_BTT / weights_BTT.sum(-1, keepdim=True)
        heads.append(torch.einsum("bts,bsk->btk", weights_BTT, v_BHTK[:, h]))
    return torch.stack(heads, dim=1)
