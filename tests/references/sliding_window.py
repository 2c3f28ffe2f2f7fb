from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import visible


def reference(
    layer: Any, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, *more: Tensor | None
) -> Tensor:
    """Exponentials of all scores, those out of reach left out; a sink is added to their sum, and a
    gate is the first of `more`.
    """
    *gate_BHT, valid_BT = more
    y_BHTK = within(layer, q_BHTK, k_BGTK, v_BGTK, valid_BT)
    if not gate_BHT or gate_BHT[0] is None:
        return y_BHTK
    x = gate_BHT[0] if gate_BHT[0].ndim == 4 else gate_BHT[0][..., None]
    return (
        y_BHTK * torch.log(1 + x.exp())
        if layer.config.gate == "softplus"
        else y_BHTK / (1 + torch.exp(-x))
    )


def within(
    layer: Any, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """Without a gate."""
    B, H, T, K = q_BHTK.shape
    k_BHTK, v_BHTK = (x.repeat_interleave(H // x.shape[1], dim=1) for x in (k_BGTK, v_BGTK))
    window, sinks = layer.config.window, layer.config.sinks
    seen_B1TT = visible(T, valid_BT, causal=layer.causal, batch=B)
    for i in range(T):
        for j in range(T):
            far = i - j >= window if layer.causal else abs(i - j) > window // 2
            if far and not (sinks == "first" and j < layer.config.first):
                seen_B1TT[:, :, i, j] = False
    seen_B1TT = seen_B1TT | torch.eye(T, dtype=torch.bool)
    weights_BHTS = torch.exp(torch.einsum("bhtk,bhsk->bhts", q_BHTK, k_BHTK) / K**0.5) * seen_B1TT
    total_BHT1 = weights_BHTS.sum(-1, keepdim=True)
    if sinks == "learned":
        total_BHT1 = total_BHT1 + torch.exp(layer.sink_H)[:, None, None]
    return torch.einsum("bhts,bhsk->bhtk", weights_BHTS / total_BHT1, v_BHTK)
