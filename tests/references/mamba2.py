from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import convolution, heads

OPTIONS = {"groups": 2, "state": 24}


def reference(
    layer: Any,
    x_BHTP: Tensor,
    B_BGTN: Tensor,
    C_BGTN: Tensor,
    dt_BHT: Tensor,
    z_BHTP: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    """Each head as the matrix of its semiseparable form: (L o C B^T) x, entry by entry."""
    H = x_BHTP.shape[1]
    R = H // layer.config.groups
    made = []
    for h in range(H):
        g = h // R
        scores_BTT = torch.einsum("btn,bsn->bts", C_BGTN[:, g], B_BGTN[:, g])
        total_BT = (-torch.exp(layer.log_rate_H[h]) * dt_BHT[:, h]).cumsum(-1)
        left_BTT = torch.exp(total_BT[:, :, None] - total_BT[:, None]).tril()
        new_BTP = dt_BHT[:, h, :, None] * x_BHTP[:, h]
        y_BTP = torch.einsum("bts,bsp->btp", scores_BTT * left_BTT, new_BTP)
        y_BTP = y_BTP + layer.direct_H[h] * x_BHTP[:, h]
        made.append(y_BTP * z_BHTP[:, h] * torch.sigmoid(z_BHTP[:, h]))
    out = []
    for h in range(H):
        group_BTE = torch.cat(made[h // R * R : (h // R + 1) * R], dim=-1)
        size_BT1 = torch.sqrt(group_BTE.square().mean(-1, keepdim=True) + 1e-5)
        out.append(made[h] / size_BT1 * layer.norm_HP[h])
    return torch.stack(out, dim=1)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    made = {name: x_BTD @ layer.projections[name].weight.T for name in layer.inputs}
    side_BTE = torch.cat([made["x"], made["B"], made["C"]], dim=-1)
    widths = [made[name].shape[-1] for name in ("x", "B", "C")]
    x_BTE, B_BTE, C_BTE = convolution(layer.conv, side_BTE).split(widths, dim=-1)
    dt_BHT = torch.log1p(torch.exp(made["dt"] + layer.bias_H)).mT
    y_BHTP = reference(
        layer, heads(x_BTE, layer.heads), heads(B_BTE, layer.groups), heads(C_BTE, layer.groups),
        dt_BHT, heads(made["z"], layer.heads), None,
    )  # fmt: skip
    return torch.cat(y_BHTP.unbind(1), dim=-1) @ layer.projections["out"].weight.T
