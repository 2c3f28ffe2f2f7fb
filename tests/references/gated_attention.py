from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import softmax_attention, visible


def reference(
    layer: Any,
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    gate_BHT: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    seen_B1TT = visible(T, valid_BT, causal=layer.causal, batch=B)
    heads = []
    for h in range(H):
        g = h * layer.kv_heads // H
        kv = k_BGTK[:, g : g + 1], v_BGTK[:, g : g + 1]
        y_BTK = softmax_attention(q_BHTK[:, h : h + 1], *kv, seen_B1TT)[:, 0]
        gate_BTK = (
            gate_BHT[:, h] if gate_BHT.ndim == 4 else gate_BHT[:, h, :, None].expand_as(y_BTK)
        )
        if layer.config.gate == "softplus":
            heads.append(y_BTK * torch.log(1 + torch.exp(gate_BTK)))
        else:
            heads.append(y_BTK / (1 + torch.exp(-gate_BTK)))
    return torch.stack(heads, dim=1)
