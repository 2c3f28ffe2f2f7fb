"""Token by token, a state a head, as the paper writes it."""

from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any,
    q_BGTK: Tensor,
    k_BGTK: Tensor,
    v_BHTV: Tensor,
    decay_BHT: Tensor,
    beta_BHT: Tensor,
    gate_BHTV: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    """Heads and sequences one by one; S is V x K here, as in the paper."""
    B, H, T, V = v_BHTV.shape
    K, R = q_BGTK.shape[-1], H // q_BGTK.shape[1]
    identity_KK = torch.eye(K, dtype=q_BGTK.dtype)
    rows = []
    for b in range(B):
        for h in range(H):
            S_VK = v_BHTV.new_zeros(V, K)
            for t in range(T):
                q_K, k_K = (of_length_1(x[b, h // R, t]) for x in (q_BGTK, k_BGTK))
                beta, alpha = beta_BHT[b, h, t], torch.exp(decay_BHT[b, h, t])
                S_VK = S_VK @ (alpha * (identity_KK - beta * torch.outer(k_K, k_K)))
                S_VK = S_VK + beta * torch.outer(v_BHTV[b, h, t], k_K)
                rows.append(S_VK @ q_K / K**0.5)
    y_BHTV = torch.stack(rows).view(B, H, T, V)
    square_BHT1 = y_BHTV.square().mean(-1, keepdim=True)
    gate = gate_BHTV * torch.sigmoid(gate_BHTV)
    if layer.config.gate == "sigmoid":
        gate = torch.sigmoid(gate_BHTV)
    return y_BHTV / torch.sqrt(square_BHT1 + layer.config.epsilon) * layer.norm_V * gate


def of_length_1(x_K: Tensor) -> Tensor:
    return x_K / torch.sqrt(x_K.square().sum() + 1e-6)


def convolution(conv: Any, x_BTE: Tensor) -> Tensor:
    """Each channel over the last tokens, then SiLU: tap by tap, token by token."""
    B, T, E = x_BTE.shape
    weight_EL = conv.weight_EL
    L, tokens = weight_EL.shape[1], []
    for t in range(T):
        y_BE = x_BTE.new_zeros(B, E)
        for tap in range(L):
            if t - (L - 1) + tap >= 0:
                y_BE = y_BE + weight_EL[:, tap] * x_BTE[:, t - (L - 1) + tap]
        if conv.bias_E is not None:
            y_BE = y_BE + conv.bias_E
        tokens.append(y_BE * torch.sigmoid(y_BE) if conv.activate else y_BE)
    return torch.stack(tokens, dim=1)


def heads(x_BTE: Tensor, number: int) -> Tensor:
    return torch.stack(x_BTE.chunk(number, dim=-1), dim=1)


def log_decay(module: Any, x_BTH: Tensor) -> Tensor:
    """-e^A softplus(x + b), (B, H, T)."""
    return (-module.log_rate_H.exp() * torch.log1p(torch.exp(x_BTH + module.bias))).mT


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    made = {name: x_BTD @ layer.projections[name].weight.T for name in layer.inputs}
    widths = [made[name].shape[-1] for name in ("q", "k", "v")]
    side_BTE = torch.cat([made["q"], made["k"], made["v"]], dim=-1)
    q_BTE, k_BTE, v_BTE = convolution(layer.conv, side_BTE).split(widths, dim=-1)
    beta_BHT = torch.sigmoid(made["beta"]).mT * (2 if layer.config.negative else 1)
    y_BHTV = reference(
        layer, heads(q_BTE, layer.key_heads), heads(k_BTE, layer.key_heads),
        heads(v_BTE, layer.heads), log_decay(layer.decay, made["decay"]), beta_BHT,
        heads(made["gate"], layer.heads), None,
    )  # fmt: skip
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T
