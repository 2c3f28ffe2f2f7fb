"""Token by token, with a state that turns itself: B and C stay as they are."""

from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import heads

OPTIONS = {"groups": 2, "state": 24}


def reference(
    layer: Any,
    x_BHTP: Tensor,
    B_BGTE: Tensor,
    C_BGTE: Tensor,
    step_BHT: Tensor,
    decay_BHT: Tensor,
    share_BHT: Tensor,
    angle_BxTS: Tensor,
    z_BHTP: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    (B, H, T, P), R, N = x_BHTP.shape, layer.config.rank, layer.config.state
    one_RP = x_BHTP.new_ones(1, P)
    out = []
    for h in range(H):
        g = h * layer.config.groups // H
        ups = layer.ranks_3HxRP[:, h, 0] if R > 1 else (one_RP, one_RP, one_RP)
        S_BNP, old_BNP, rows = x_BHTP.new_zeros(B, N, P), x_BHTP.new_zeros(B, N, P), []
        for t in range(T):
            B_BRN, C_BRN = (
                normed(vectors[:, g, t].view(B, R, N)) * layer.space.norm_2N[i]
                + layer.space.bias_2HxRN[i, h, 0]
                for i, vectors in enumerate((B_BGTE, C_BGTE))
            )
            d_B11, share_B11 = step_BHT[:, h, t, None, None], share_BHT[:, h, t, None, None]
            angle_BS = torch.pi * torch.tanh(angle_BxTS[:, 0, t]) * d_B11[..., 0]
            x_BRP = x_BHTP[:, h, t, None] * ups[0]
            new_BNP = torch.einsum("brn,brp->bnp", B_BRN, x_BRP)
            S_BNP = turned_back(S_BNP + (1 - share_B11) * d_B11 * old_BNP, angle_BS)
            S_BNP = torch.exp(decay_BHT[:, h, t, None, None]) * S_BNP
            S_BNP, old_BNP = S_BNP + share_B11 * d_B11 * new_BNP, new_BNP
            y_BRP = C_BRN @ S_BNP + layer.direct_H[h] * x_BRP
            gate_BRP = z_BHTP[:, h, t, None] * ups[1]
            rows.append((ups[2] * y_BRP * gate_BRP * torch.sigmoid(gate_BRP)).sum(1))
        out.append(torch.stack(rows, dim=1))
    return torch.stack(out, dim=1)


def normed(x_BRN: Tensor) -> Tensor:
    return x_BRN / torch.sqrt(x_BRN.square().mean(-1, keepdim=True) + 1e-5)


def turned_back(S_BNP: Tensor, angle_BS: Tensor) -> Tensor:
    """Numbers i and i + S of a state are the parts of a complex one."""
    S = angle_BS.shape[1]
    pairs_BSP = torch.complex(S_BNP[:, :S], S_BNP[:, S : 2 * S])
    unit_BS1 = torch.complex(torch.cos(angle_BS), -torch.sin(angle_BS)).unsqueeze(-1)
    pairs_BSP = pairs_BSP * unit_BS1
    return torch.cat([pairs_BSP.real, pairs_BSP.imag, S_BNP[:, 2 * S :]], dim=1)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    made = {name: x_BTD @ layer.projections[name].weight.T for name in layer.inputs}
    step_BTH = torch.log1p(torch.exp(made["step"] + layer.bias_H))
    rate_BTH = torch.log1p(torch.exp(made["decay"])).clamp(min=1e-4)
    H, G = layer.heads, layer.config.groups
    y_BHTP = reference(
        layer, heads(made["x"], H), heads(made["B"], G), heads(made["C"], G), step_BTH.mT,
        -(rate_BTH * step_BTH).mT, torch.sigmoid(made["share"]).mT, heads(made["angle"], 1),
        heads(made["z"], H), None,
    )  # fmt: skip
    return torch.cat(y_BHTP.unbind(1), dim=-1) @ layer.projections["out"].weight.T
