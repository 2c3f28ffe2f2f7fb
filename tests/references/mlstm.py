from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any,
    q_BHTF: Tensor,
    k_BHTF: Tensor,
    v_BHTV: Tensor,
    in_BHT: Tensor,
    keep_BHT: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    """Token by token, by the gates as they are: float64 holds their exponentials."""
    (B, H, T, F), V = q_BHTF.shape, v_BHTV.shape[3]
    matrix_BHVF, n_BHF = (torch.zeros(*shape, F).double() for shape in ((B, H, V), (B, H)))
    rows = []
    for t in range(T):
        q, k, v = q_BHTF[:, :, t], k_BHTF[:, :, t] / F**0.5, v_BHTV[:, :, t]
        write, keep = torch.exp(in_BHT[:, :, t]), torch.exp(keep_BHT[:, :, t])
        if layer.config.forget == "sigmoid":
            keep = 1 / (1 + torch.exp(-keep_BHT[:, :, t]))
        written = write[..., None, None] * torch.einsum("bhv,bhf->bhvf", v, k)
        matrix_BHVF = keep[..., None, None] * matrix_BHVF + written
        n_BHF = keep[..., None] * n_BHF + write[..., None] * k
        along_BH1 = (n_BHF * q).sum(-1, keepdim=True).abs()
        bottom_BH1 = torch.where(along_BH1 > 1, along_BH1, torch.ones_like(along_BH1))
        rows.append(torch.einsum("bhvf,bhf->bhv", matrix_BHVF, q) / bottom_BH1)
    return torch.stack(rows, dim=2)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    """The gates' logits softly capped, each head normed by itself, the output gate."""
    (B, T, _), H, cap = x_BTD.shape, layer.heads, layer.config.gate_cap
    made = {}
    for name, linear in layer.projections.items():
        if name != "out":
            y_BTE = x_BTD @ linear.weight.T + (0 if linear.bias is None else linear.bias)
            made[name] = y_BTE.view(B, T, -1, y_BTE.shape[2] // H).transpose(1, 2)
    gates = [made[name].squeeze(3) for name in ("input_gate", "forget_gate")]
    gates = [cap * torch.tanh(logit / cap) for logit in gates] if cap else gates
    y_BHTV = reference(layer, made["q"], made["k"], made["v"], gates[0], gates[1], None)
    centred = y_BHTV - y_BHTV.mean(-1, keepdim=True)
    y_BHTV = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + 1e-6)
    y_BHTV = y_BHTV * layer.norm_E.view(H, 1, -1) * torch.sigmoid(made["output_gate"])
    return y_BHTV.transpose(1, 2).reshape(B, T, -1) @ layer.projections["out"].weight.T
