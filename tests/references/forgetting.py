from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any,
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    gate_BHT: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    """Query by query; what is left of each key is multiplied up, gate by gate, going back."""
    _, H, T, K = q_BHTK.shape
    group = H // k_BGTK.shape[1]
    k_BHTK, v_BHTK = (x.repeat_interleave(group, dim=1) for x in (k_BGTK, v_BGTK))
    keep_BHT = torch.exp(gate_BHT.double())
    rows = []
    for i in range(T):
        left = [keep_BHT[:, :, i] ** 0]
        for j in range(i, 0, -1):
            left.insert(0, left[0] * keep_BHT[:, :, j])
        score_BHS = torch.einsum("bhk,bhsk->bhs", q_BHTK[:, :, i], k_BHTK[:, :, : i + 1]) / K**0.5
        weight_BHS = torch.exp(score_BHS) * torch.stack(left, dim=-1)
        weight_BHS = weight_BHS / weight_BHS.sum(-1, keepdim=True)
        rows.append(torch.einsum("bhs,bhsk->bhk", weight_BHS, v_BHTK[:, :, : i + 1]))
    return torch.stack(rows, dim=2)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    weights = {name: part.weight for name, part in layer.projections.items()}
    made = [(x_BTD @ weights[name].T).unflatten(2, (-1, layer.head_dim)) for name in "qkv"]
    gate_BTH = torch.log(torch.sigmoid(x_BTD @ weights["gate"].T + layer.projections["gate"].bias))
    q_BHTK, k_BGTK, v_BGTK = (x.transpose(1, 2) for x in made)
    out_BHTK = reference(layer, q_BHTK, k_BGTK, v_BGTK, gate_BTH.mT, None)
    return torch.cat(out_BHTK.unbind(1), dim=-1) @ weights["out"].T
