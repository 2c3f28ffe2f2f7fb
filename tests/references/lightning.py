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
    """All pairs, each with its decay; then the norm of all heads side by side."""
    _, H, T, _ = q_BHTK.shape
    away_TT = (torch.arange(T)[:, None] - torch.arange(T)).double()
    made = []
    for h in range(H):
        # 32-bit slopes, as a model keeps them
        slope = float(torch.tensor(2 ** (-8 * (h + 1) / H) * (1 - layer.config.depth + 1e-5)))
        left_TT = torch.where(away_TT >= 0, torch.exp(-slope * away_TT.clamp(min=0)), 0.0)
        scores_BTT = torch.einsum("btk,bsk->bts", q_BHTK[:, h], k_BHTK[:, h]) * left_TT
        made.append(torch.einsum("bts,bsv->btv", scores_BTT, v_BHTV[:, h]))
    side_BTE = torch.cat(made, dim=-1)
    side_BTE = side_BTE / torch.sqrt(side_BTE.square().mean(-1, keepdim=True) + 1e-6)
    y_BHTV = torch.stack(side_BTE.chunk(H, dim=-1), dim=1)
    return y_BHTV * layer.norm_HV[:, None] * torch.sigmoid(gate_BHTV)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    made = {
        name: heads(x_BTD @ layer.projections[name].weight.T, layer.heads) for name in layer.inputs
    }
    q, k, v = (made[name] * torch.sigmoid(made[name]) for name in ("q", "k", "v"))
    y_BHTV = reference(layer, q, k, v, made["gate"], None)
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T
