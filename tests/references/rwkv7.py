"""Token by token, a state a head, V x K as in the paper."""

from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import heads


def reference(
    layer: Any,
    r_BHTK: Tensor,
    decay_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    rate_BHTK: Tensor,
    gate_BHTV: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    B, H, T, V = v_BHTV.shape
    rows = []
    for b in range(B):
        for h in range(H):
            S_VK = v_BHTV.new_zeros(V, V)
            for t in range(T):
                r_K, k_K, v_V, a_K = (x[b, h, t] for x in (r_BHTK, k_BHTK, v_BHTV, rate_BHTK))
                z_K = k_K * layer.erase_HxK[h, 0]
                z_K = z_K / torch.linalg.vector_norm(z_K)
                k_K = k_K * (1 + (a_K - 1) * layer.write_HxK[h, 0])
                erased_VK = torch.outer(S_VK @ z_K, z_K * a_K)
                S_VK = S_VK * torch.exp(decay_BHTK[b, h, t]) - erased_VK + torch.outer(v_V, k_K)
                y_V = S_VK @ r_K
                y_V = (y_V - y_V.mean()) / torch.sqrt(y_V.var(correction=0) + 64e-5)
                y_V = y_V * layer.norm_HxV[h, 0] + layer.norm_bias_HxV[h, 0]
                bonus = (r_K * k_K * layer.bonus_HxK[h, 0]).sum()
                rows.append((y_V + bonus * v_V) * gate_BHTV[b, h, t])
    return torch.stack(rows).view(B, H, T, V)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    before_BTD = torch.cat([torch.zeros_like(x_BTD[:, :1]), x_BTD], dim=1)[:, :-1]
    made = {}
    for name, share_D in zip(layer.inputs, layer.shift_ID, strict=True):
        mixed_BTD = (1 - share_D) * x_BTD + share_D * before_BTD
        made[name] = _projected(name, layer.projections[name], mixed_BTD)
    definition: Any = reference
    given = (heads(made[name], layer.heads) for name in layer.inputs)
    y_BHTV = definition(layer, *given, None)
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T


def _projected(name: str, module: Any, x_BTD: Tensor) -> Tensor:
    if name in {"r", "k", "v"}:
        return x_BTD @ module.weight.T
    inner_BTR, last = x_BTD @ module[0].weight.T, module[2]
    if name == "decay":
        raw_BTE = torch.tanh(inner_BTR) @ last.weight.T + last.bias
        return -torch.exp(torch.tensor(-0.5, dtype=x_BTD.dtype)) / (1 + torch.exp(-raw_BTE))
    if name == "rate":
        return 1 / (1 + torch.exp(-(inner_BTR @ last.weight.T + last.bias)))
    return (1 / (1 + torch.exp(-inner_BTR))) @ last.weight.T
