"""Token by token, a state for each channel."""

from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import convolution

OPTIONS = {"normed": True}


def reference(
    layer: Any,
    x_BTD: Tensor,
    dt_BTD: Tensor,
    B_BTN: Tensor,
    C_BTN: Tensor,
    z_BTD: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    B, T, D = x_BTD.shape
    A_DN = -torch.exp(layer.log_rate_ND.T)
    h_BDN = x_BTD.new_zeros(B, D, layer.config.state)
    rows = []
    for t in range(T):
        step_BD1 = dt_BTD[:, t, :, None]
        h_BDN = torch.exp(step_BD1 * A_DN) * h_BDN
        h_BDN = h_BDN + step_BD1 * x_BTD[:, t, :, None] * B_BTN[:, t, None]
        rows.append(torch.einsum("bdn,bn->bd", h_BDN, C_BTN[:, t]))
    y_BTD = torch.stack(rows, dim=1) + layer.direct_D * x_BTD
    y_BTD = y_BTD * z_BTD * torch.sigmoid(z_BTD)
    return torch.stack(y_BTD.chunk(layer.heads, dim=-1), dim=1)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    weights = layer.projections
    x_BTE = convolution(layer.conv, x_BTD @ weights["x"].weight.T)
    widths = [weights["dt"].in_features, layer.config.state, layer.config.state]
    parts = list((x_BTE @ weights["select"].weight.T).split(widths, dim=-1))
    if layer.config.normed:
        for i, norm in enumerate(weights["norms"]):
            size_BT1 = torch.sqrt(parts[i].square().mean(-1, keepdim=True) + 1e-6)
            parts[i] = parts[i] / size_BT1 * norm.weight
    dt_BTE = torch.log1p(torch.exp(parts[0] @ weights["dt"].weight.T + weights["dt"].bias))
    z_BTE = x_BTD @ weights["z"].weight.T
    y_BHTP = reference(layer, x_BTE, dt_BTE, parts[1], parts[2], z_BTE, None)
    return torch.cat(y_BHTP.unbind(1), dim=-1) @ weights["out"].weight.T
