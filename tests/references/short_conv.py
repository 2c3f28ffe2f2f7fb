from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any, B_BHTK: Tensor, C_BHTK: Tensor, x_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """Token by token, the sum over the last ones."""
    _, H, T, K = x_BHTK.shape
    w_HKL, rows = layer.conv.weight_EL.view(H, K, -1), []
    for t in range(T):
        y_BHK = torch.zeros_like(x_BHTK[:, :, 0])
        for back in range(min(w_HKL.shape[-1], t + 1)):
            y_BHK = y_BHK + w_HKL[..., -1 - back] * (B_BHTK * x_BHTK)[:, :, t - back]
        if layer.config.bias:
            y_BHK = y_BHK + layer.conv.bias_E.view(H, K)
        rows.append(C_BHTK[:, :, t] * y_BHK)
    return torch.stack(rows, dim=2)
