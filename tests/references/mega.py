import math
from typing import Any

import torch
from torch import Tensor

OPTIONS = {"chunk": 16}


def one_way(average: Any, x_BTD: Tensor, which: slice) -> Tensor:
    """The damped averages, token by token, of the channels that `which` holds the weights of."""
    alpha_DS, delta_DS = average.alpha_CS[which].sigmoid(), average.delta_CS[which].sigmoid()
    beta_DS, eta_DS = average.beta_CS[which], average.eta_CS[which]
    m_BDS = torch.zeros(x_BTD.shape[0], *alpha_DS.shape, dtype=x_BTD.dtype)
    outs = []
    for x_BD in x_BTD.unbind(1):
        u_BDS = beta_DS * x_BD[..., None]
        m_BDS = alpha_DS * u_BDS + (1 - alpha_DS * delta_DS) * m_BDS
        outs.append((eta_DS * m_BDS).sum(-1) / alpha_DS.shape[1] ** 0.5)
    return torch.stack(outs, dim=1)


def averaged(layer: Any, x_BTD: Tensor, valid_BT: Tensor | None) -> Tensor:
    D, average = x_BTD.shape[2], layer.average
    seen_BTD = x_BTD
    if valid_BT is not None and not layer.causal:
        seen_BTD = torch.where(valid_BT[..., None], x_BTD, 0.0)
    y_BTD = one_way(average, seen_BTD, slice(0, D))
    if not layer.causal:
        y_BTD = y_BTD + one_way(average, seen_BTD.flip(1), slice(D, None)).flip(1)
    y_BTD = y_BTD + average.omega_D * x_BTD
    return y_BTD * torch.sigmoid(y_BTD)


def attended(layer: Any, a_BTD: Tensor, v_BTV: Tensor, valid_BT: Tensor | None) -> Tensor:
    """Query by query, over its chunk."""
    head, (B, T, _), C = layer.head, a_BTD.shape, layer.config.chunk
    C = min(C, layer.config.tokens)
    z_BTE = a_BTD @ head.shared.weight.T + head.shared.bias
    z_BTE = z_BTE * torch.sigmoid(z_BTE)
    q_BTE, k_BTE = (z_BTE * head.scale_2E[i] + head.shift_2E[i] for i in (0, 1))
    rows = []
    for b in range(B):
        for t in range(T):
            keys = [
                s for s in range(t // C * C, min(T, t // C * C + C)) if not layer.causal or s <= t
            ]
            if valid_BT is not None and not layer.causal:
                keys = [s for s in keys if bool(valid_BT[b, s])]
            if not keys:  # of padding alone: anything finite
                rows.append(torch.zeros_like(v_BTV[b, t]))
                continue
            scores_S = (k_BTE[b, keys] * q_BTE[b, t]).sum(-1)
            bias_S = head.bias_P[[C - 1 + s - t for s in keys]]
            if layer.config.weights == "softmax":
                weights_S = torch.exp(scores_S / q_BTE.shape[2] ** 0.5 + bias_S)
                weights_S = weights_S / weights_S.sum()
            else:
                raised_S = scores_S / len(keys) + bias_S - 0.5**0.5
                weights_S = 0.5 * (1 + torch.erf(raised_S / (2 / (4 * math.pi)) ** 0.5))
            rows.append(weights_S @ v_BTV[b, keys])
    return torch.stack(rows).view(B, T, -1)


def reference(layer: Any, x_BTD: Tensor, v_BTV: Tensor, valid_BT: Tensor | None) -> Tensor:
    a_BTD = averaged(layer, x_BTD, valid_BT)
    return attended(layer, a_BTD, v_BTV, valid_BT)[:, None]


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    """From x, with its gates, less the residual."""
    D, parts = x_BTD.shape[2], layer.projections
    v_BTV = x_BTD @ parts["v"].weight.T + parts["v"].bias
    v_BTV = v_BTV * torch.sigmoid(v_BTV)
    a_BTD = averaged(layer, x_BTD, None)
    o_BTV = attended(layer, a_BTD, v_BTV, None)
    made = a_BTD @ parts["gates"].weight.T + parts["gates"].bias
    r_BTV, u_BTD, own_BTD = made[..., : 2 * D], made[..., 2 * D : 3 * D], made[..., 3 * D :]
    r_BTV = r_BTV * torch.sigmoid(r_BTV)
    h_BTD = own_BTD + (r_BTV * o_BTV) @ parts["out"].weight.T
    h_BTD = h_BTD * torch.sigmoid(h_BTD)
    mixed_BTD = torch.sigmoid(u_BTD) * h_BTD + (1 - torch.sigmoid(u_BTD)) * x_BTD
    return mixed_BTD - x_BTD
