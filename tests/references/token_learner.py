import math
from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """A sequence at a time, on its real tokens alone; a learned token at a time."""
    B, H, T, K = v_BHTK.shape
    weights = dict(layer.named_parameters())
    outs = []
    for b in range(B):
        n = T if valid_BT is None else int(valid_BT[b].sum())
        x_TD = torch.cat(list(v_BHTK[b, :, :n]), dim=1)
        scores_TS = _mlp(weights, "weigh", x_TD)
        tokens = []
        for s in range(scores_TS.shape[1]):
            share_T = torch.exp(scores_TS[:, s]) / torch.exp(scores_TS[:, s]).sum()
            tokens.append(sum(a * x_D for a, x_D in zip(share_T, x_TD, strict=True)))
        out_SD = torch.stack(tokens)
        if layer.config.fuse:
            out_SD = torch.cat([_fused(weights, out_SD, x_TD), x_TD.new_zeros(T - n, H * K)])
        outs.append(out_SD)
    return torch.stack(outs).view(B, -1, H, K).transpose(1, 2)


def _fused(weights: dict[str, Tensor], y_SD: Tensor, x_TD: Tensor) -> Tensor:
    y_SD = _norm(weights, "norm", y_SD)
    mixed_SD = weights["between.weight"] @ y_SD + weights["between.bias"][:, None]
    mixed_SD = _norm(weights, "renorm", mixed_SD)
    gate_TS = 1 / (1 + torch.exp(-_mlp(weights, "gate", x_TD)))
    return torch.einsum("ts,sd->td", gate_TS, mixed_SD)


def _mlp(weights: dict[str, Tensor], name: str, x_TD: Tensor) -> Tensor:
    h = _norm(weights, f"{name}.0", x_TD) @ weights[f"{name}.1.weight"].T
    h = h + weights[f"{name}.1.bias"]
    h = h / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
    return h @ weights[f"{name}.3.weight"].T + weights.get(f"{name}.3.bias", torch.zeros(()))


def _norm(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
