import math
from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import heads


def reference(
    layer: Any,
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    gate_BHTV: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    """All pairs, each with its share: (Q K^T o D) V."""
    _, H, T, K = q_BHTK.shape
    made = []
    for h in range(H):
        share = math.exp(float(torch.tensor(1 - 2.0 ** (-5 - h)).log()))
        D_TT = torch.zeros(T, T, dtype=torch.float64)
        for t in range(T):
            for s in range(t + 1):
                D_TT[t, s] = share ** (t - s)
        scores_BTT = torch.einsum("btk,bsk->bts", q_BHTK[:, h], k_BHTK[:, h]) / K**0.5 * D_TT
        y_BTV = torch.einsum("bts,bsv->btv", scores_BTT, v_BHTV[:, h])
        made.append(y_BTV / torch.sqrt(y_BTV.square().mean(-1, keepdim=True) + 1e-6))
    return torch.stack(made, dim=1) * gate_BHTV * torch.sigmoid(gate_BHTV)


def turned(x_BHTK: Tensor) -> Tensor:
    """Pairs of channels as complex numbers, times e^(i angle)."""
    pairs = x_BHTK.shape[-1] // 2
    rate_R = (10_000.0 ** -torch.linspace(0, 1, pairs)).double()
    angle_TR = torch.arange(x_BHTK.shape[2])[:, None] * rate_R
    z_BHTR = torch.complex(x_BHTK[..., ::2], x_BHTK[..., 1::2])
    z_BHTR = z_BHTR * torch.polar(torch.ones_like(angle_TR), angle_TR)
    return torch.stack([z_BHTR.real, z_BHTR.imag], dim=-1).flatten(3)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    made = {
        name: heads(x_BTD @ layer.projections[name].weight.T, layer.heads) for name in layer.inputs
    }
    y_BHTV = reference(layer, turned(made["q"]), turned(made["k"]), made["v"], made["gate"], None)
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T
