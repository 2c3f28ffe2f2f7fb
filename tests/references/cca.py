from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import reference as grouped


def reference(layer: Any, q: Tensor, k: Tensor, v: Tensor, valid_BT: Tensor | None) -> Tensor:
    """Within the latent it is exact attention with grouped heads."""
    return grouped(layer, q, k, v, valid_BT)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    """Token by token and head by head: both convolutions, the means, the norms, the values."""
    (B, T, _), H, G, K = x_BTD.shape, layer.heads, layer.kv_heads, layer.head_dim
    q_BTE, k_BTE, v_BTE = (x_BTD @ layer.projections[name].weight.T for name in "qkv")
    before_B2E = torch.zeros(B, 2, (H + G) * K, dtype=x_BTD.dtype)
    qk_BTE = torch.cat([before_B2E, torch.cat([q_BTE, k_BTE], dim=2)], dim=1)
    qs, ks, vs = [], [], []
    for t in range(T):
        first = [_first(layer, qk_BTE, t + 1 + i) for i in range(2)]  # of the token before, and t
        made = [_second(layer, first, j) for j in range(H + G)]
        q = [q_BTE[:, t, h * K : (h + 1) * K] for h in range(H)]
        k = [k_BTE[:, t, g * K : (g + 1) * K] for g in range(G)]
        mean = [(q[h] + k[h * G // H]) / 2 for h in range(H)]
        means = [torch.stack(mean[g * H // G : (g + 1) * H // G]).mean(0) for g in range(G)]
        qs.append(torch.stack([_unit(made[h] + mean[h]) for h in range(H)], dim=1))
        k_BGK = torch.stack([_unit(made[H + g] + means[g]) for g in range(G)], dim=1)
        ks.append(k_BGK * layer.temperature_Gxx[:, 0])
        before = v_BTE[:, t - 1] if t else torch.zeros_like(v_BTE[:, 0])
        half = G * K - G * K // 2
        vs.append(torch.cat([v_BTE[:, t, :half], before[:, half:]], dim=1).view(B, G, K))
    q_BHTK, k_BGTK, v_BGTK = (torch.stack(x, dim=2) for x in (qs, ks, vs))
    y_BHTK = grouped(layer, layer.at(q_BHTK), layer.at(k_BGTK), v_BGTK, None)
    return y_BHTK.transpose(1, 2).reshape(B, T, -1) @ layer.projections["out"].weight.T


def _first(layer: Any, qk_BTE: Tensor, at: int) -> Tensor:
    """Depthwise: each channel by itself."""
    tap_SE = layer.tap_SE
    return qk_BTE[:, at - 1] * tap_SE[0] + qk_BTE[:, at] * tap_SE[1] + layer.tap_E


def _second(layer: Any, first: list[Tensor], j: int) -> Tensor:
    """Grouped: the channels of a head together."""
    K = layer.head_dim
    before, now = (x[:, j * K : (j + 1) * K] for x in first)
    return before @ layer.mix_SJKK[0, j] + now @ layer.mix_SJKK[1, j] + layer.mix_JxK[j, 0]


def _unit(x_BK: Tensor) -> Tensor:
    return x_BK / x_BK.square().sum(-1, keepdim=True).sqrt() * x_BK.shape[-1] ** 0.5
