"""Token by token, a state for each head of the values, as the paper writes it."""

from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import convolution, heads, of_length_1


def reference(
    layer: Any,
    q_BGTK: Tensor,
    k_BGTK: Tensor,
    v_BHTV: Tensor,
    decay_BGTK: Tensor,
    erase_BGTK: Tensor,
    write_BHTV: Tensor,
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
                fade_KK = torch.diag(torch.exp(decay_BGTK[b, h // R, t]))
                erased_KK = torch.outer(k_K, erase_BGTK[b, h // R, t] * k_K)
                written_KV = torch.outer(k_K, write_BHTV[b, h, t] * v_BHTV[b, h, t])
                S_KV = (identity_KK - erased_KK) @ fade_KK @ S_KV + written_KV
                rows.append(S_KV.T @ q_K / K**0.5)
    y_BHTV = torch.stack(rows).view(B, H, T, V)
    square_BHT1 = y_BHTV.square().mean(-1, keepdim=True)
    return y_BHTV / torch.sqrt(square_BHT1 + 1e-5) * layer.norm_V * torch.sigmoid(gate_BHTV)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    made = {}
    for name in ("q", "k", "v", "erase", "write"):
        made[name] = x_BTD @ layer.projections[name].weight.T
    for name in ("decay", "gate"):
        first, second = layer.projections[name]
        made[name] = x_BTD @ first.weight.T @ second.weight.T
    made["gate"] = made["gate"] + layer.projections["gate"][1].bias
    side_BTE = torch.cat([made["q"], made["k"], made["v"]], dim=-1)
    widths = [made[name].shape[-1] for name in ("q", "k", "v")]
    q_BTE, k_BTE, v_BTE = convolution(layer.conv, side_BTE).split(widths, dim=-1)
    G, H = layer.key_heads, layer.heads
    raw_BGTK = heads(made["decay"], G) + layer.decay.bias[:, None]
    decay_BGTK = -layer.decay.log_rate_H.exp()[:, None, None] * torch.log1p(torch.exp(raw_BGTK))
    erase_BGTK = torch.sigmoid(heads(made["erase"], G)) * (2 if layer.config.negative else 1)
    y_BHTV = reference(
        layer, heads(q_BTE, G), heads(k_BTE, G), heads(v_BTE, H), decay_BGTK, erase_BGTK,
        torch.sigmoid(heads(made["write"], H)), heads(made["gate"], H), None,
    )  # fmt: skip
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T
