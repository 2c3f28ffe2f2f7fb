from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import visible


def reference(
    layer: Any, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """Head by head; a cap bends the scores, a sink is one exponential more in the sum."""
    B, H, T, K = q_BHTK.shape
    seen_BTT = visible(T, valid_BT, causal=layer.causal, batch=B)[:, 0]
    heads = []
    for h in range(H):
        g = h * layer.kv_heads // H
        scores_BTT = torch.einsum("btk,bsk->bts", q_BHTK[:, h], k_BGTK[:, g]) / K**0.5
        if layer.config.softcap:
            scores_BTT = layer.config.softcap * torch.tanh(scores_BTT / layer.config.softcap)
        weights_BTT = torch.exp(scores_BTT) * seen_BTT
        total_BT1 = weights_BTT.sum(-1, keepdim=True)
        if layer.config.sinks:
            total_BT1 = total_BT1 + torch.exp(layer.sink_H[h])
        heads.append(torch.einsum("bts,bsk->btk", weights_BTT / total_BT1, v_BGTK[:, g]))
    return torch.stack(heads, dim=1)
