from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """A sequence and a head at a time, on its real tokens alone."""
    out_BHTK = torch.zeros_like(q_BHTK)
    for b in range(len(q_BHTK)):
        n = q_BHTK.shape[2] if valid_BT is None else int(valid_BT[b].sum())
        for h in range(q_BHTK.shape[1]):
            out_BHTK[b, h, :n] = _head(layer, h, *(x[b, h, :n] for x in (q_BHTK, k_BHTK, v_BHTK)))
    return out_BHTK


def _head(layer: Any, h: int, q_TK: Tensor, k_TK: Tensor, v_TK: Tensor) -> Tensor:
    T, K = q_TK.shape
    M = min(layer.config.landmarks, T)
    lengths = [T // M + (i < T % M) for i in range(M)]
    q_MK, k_MK = (
        torch.stack([part.mean(0) for part in torch.split(x, lengths)]) for x in (q_TK, k_TK)
    )

    def kernel(a_AK: Tensor, b_BK: Tensor) -> Tensor:
        weights_AB = torch.exp(a_AK @ b_BK.T / K**0.5)
        return weights_AB / weights_AB.sum(1, keepdim=True)

    a_MM = kernel(q_MK, k_MK)
    one_MM = torch.eye(M)
    z_MM = a_MM.T / (a_MM.abs().sum(0).max() * a_MM.abs().sum(1).max())
    for _ in range(layer.config.iterations):
        az_MM = a_MM @ z_MM
        z_MM = z_MM @ (13 * one_MM - az_MM @ (15 * one_MM - az_MM @ (7 * one_MM - az_MM))) / 4
    weights_TT = kernel(q_TK, k_MK) @ z_MM @ kernel(q_MK, k_TK)
    filter_TT = torch.zeros_like(weights_TT)
    if layer.config.kernel:
        w_W = layer.get_parameter("filter_HW")[h]
        half = len(w_W) // 2
        for t in range(T):
            for s in range(max(0, t - half), min(T, t + half + 1)):
                filter_TT[t, s] = w_W[s - t + half]
    return (weights_TT + filter_TT) @ v_TK
