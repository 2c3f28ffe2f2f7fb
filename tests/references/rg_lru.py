"""Token by token and head by head, as the paper writes it."""

import math
from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import convolution, heads


def reference(layer: Any, x_BHTK: Tensor, branch_BHTK: Tensor, valid_BT: Tensor | None) -> Tensor:
    B, H, T, K = x_BHTK.shape
    out = []
    for h in range(H):
        V_KK, W_KK = layer.gates_HKE[h, :, :K], layer.gates_HKE[h, :, K:]
        b_K, c_K = layer.bias_HxE[h, 0, :K], layer.bias_HxE[h, 0, K:]
        h_BK, rows = x_BHTK.new_zeros(B, K), []
        for t in range(T):
            x_BK = x_BHTK[:, h, t]
            r_BK = 1 / (1 + torch.exp(-(x_BK @ V_KK + b_K)))
            i_BK = 1 / (1 + torch.exp(-(x_BK @ W_KK + c_K)))
            a_BK = torch.exp(-8 * torch.log1p(torch.exp(layer.rate_HK[h])) * r_BK)
            whole = layer.config.whole_first and t == 0
            share_BK = torch.ones_like(a_BK) if whole else torch.sqrt(1 - a_BK**2)
            h_BK = a_BK * h_BK + share_BK * i_BK * x_BK
            rows.append(h_BK * _gelu(branch_BHTK[:, h, t]))
        out.append(torch.stack(rows, dim=1))
    return torch.stack(out, dim=1)


def _gelu(x: Tensor) -> Tensor:
    return x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    x_BTE = convolution(layer.conv, x_BTD @ layer.projections["x"].weight.T)
    branch_BTE = x_BTD @ layer.projections["branch"].weight.T
    y_BHTK = reference(layer, heads(x_BTE, layer.heads), heads(branch_BTE, layer.heads), None)
    return torch.cat(y_BHTK.unbind(1), dim=-1) @ layer.projections["out"].weight.T
