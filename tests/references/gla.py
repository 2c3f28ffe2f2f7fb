from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import heads


def reference(
    layer: Any,
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    decay_BHTK: Tensor,
    gate_BHTV: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    y_BHTV = fading_sums(q_BHTK / q_BHTK.shape[-1] ** 0.5, k_BHTK, v_BHTV, decay_BHTK)
    y_BHTV = y_BHTV / torch.sqrt(y_BHTV.square().mean(-1, keepdim=True) + 1e-5)
    return y_BHTV * layer.norm_V * gate_BHTV * torch.sigmoid(gate_BHTV)


def fading_sums(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, decay_BHTK: Tensor) -> Tensor:
    """Token by token, a state a head."""
    B, H, _, K = k_BHTK.shape
    S_BHKV, rows = v_BHTV.new_zeros(B, H, K, v_BHTV.shape[-1]), []
    for t in range(v_BHTV.shape[2]):
        S_BHKV = torch.exp(decay_BHTK[:, :, t, :, None]) * S_BHKV
        S_BHKV = S_BHKV + torch.einsum("bhk,bhv->bhkv", k_BHTK[:, :, t], v_BHTV[:, :, t])
        rows.append(torch.einsum("bhk,bhkv->bhv", q_BHTK[:, :, t], S_BHKV))
    return torch.stack(rows, dim=2)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    made = {}
    for name in ("q", "k", "v", "gate"):
        made[name] = heads(x_BTD @ layer.projections[name].weight.T, layer.heads)
    down, up = layer.projections["decay"]
    raw_BHTK = heads(x_BTD @ down.weight.T @ up.weight.T + up.bias, layer.heads)
    decay_BHTK = -torch.log1p(torch.exp(-raw_BHTK)) / layer.config.calm
    y_BHTV = reference(layer, made["q"], made["k"], made["v"], decay_BHTK, made["gate"], None)
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T
