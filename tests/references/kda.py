"""Token by token, a state a head, as the paper writes it."""

from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import convolution, heads, of_length_1


def reference(
    layer: Any,
    q_BGTK: Tensor,
    k_BGTK: Tensor,
    v_BHTV: Tensor,
    decay_BHTK: Tensor,
    beta_BHT: Tensor,
    gate_BHTV: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    B, H, T, V = v_BHTV.shape
    K, R = q_BGTK.shape[-1], H // q_BGTK.shape[1]
    identity_KK = torch.eye(K, dtype=q_BGTK.dtype)
    rows = []
    for b in range(B):
        for h in range(H):
            S_KV = v_BHTV.new_zeros(K, V)
            for t in range(T):
                q_K, k_K = (of_length_1(x[b, h // R, t]) for x in (q_BGTK, k_BGTK))
                beta, alpha_K = beta_BHT[b, h, t], torch.exp(decay_BHTK[b, h, t])
                S_KV = (identity_KK - beta * torch.outer(k_K, k_K)) @ torch.diag(alpha_K) @ S_KV
                S_KV = S_KV + beta * torch.outer(k_K, v_BHTV[b, h, t])
                rows.append(S_KV.T @ q_K / K**0.5)
    y_BHTV = torch.stack(rows).view(B, H, T, V)
    square_BHT1 = y_BHTV.square().mean(-1, keepdim=True)
    return y_BHTV / torch.sqrt(square_BHT1 + 1e-5) * layer.norm_V * torch.sigmoid(gate_BHTV)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    made = {}
    for name in layer.inputs:
        made[name] = x_BTD
        for weight in layer.projections[name].parameters():
            made[name] = made[name] @ weight.T
    side_BTE = torch.cat([made["q"], made["k"], made["v"]], dim=-1)
    widths = [made[name].shape[-1] for name in ("q", "k", "v")]
    q_BTE, k_BTE, v_BTE = convolution(layer.conv, side_BTE).split(widths, dim=-1)
    raw_BHTK = heads(made["decay"], layer.heads) + layer.decay.bias[:, None]
    rate_H11 = layer.decay.log_rate_H.exp()[:, None, None]
    decay_BHTK = -rate_H11 * torch.log1p(torch.exp(raw_BHTK))
    if layer.config.lowest is not None:
        decay_BHTK = layer.config.lowest / (1 + torch.exp(-rate_H11 * raw_BHTK))
    y_BHTV = reference(
        layer, heads(q_BTE, layer.key_heads), heads(k_BTE, layer.key_heads),
        heads(v_BTE, layer.heads), decay_BHTK, torch.sigmoid(made["beta"]).mT,
        heads(made["gate"], layer.heads), None,
    )  # fmt: skip
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T
