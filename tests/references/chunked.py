from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """Query by query: exponentials of its scores with the tokens of its chunk so far."""
    _, H, T, K = q_BHTK.shape
    group = H // k_BGTK.shape[1]
    rows = []
    for i in range(T):
        first = i - i % layer.config.chunk
        heads = []
        for h in range(H):
            k_BSK, v_BSK = (x[:, h // group, first : i + 1] for x in (k_BGTK, v_BGTK))
            weight_BS = torch.exp((k_BSK * q_BHTK[:, h, i, None]).sum(-1) / K**0.5)
            weight_BS = weight_BS / weight_BS.sum(-1, keepdim=True)
            heads.append((weight_BS.unsqueeze(-1) * v_BSK).sum(1))
        rows.append(torch.stack(heads, dim=1))
    return torch.stack(rows, dim=2)
