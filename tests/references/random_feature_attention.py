from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import visible


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """The estimates as cosines of differences; the gates multiplied out, pair by pair."""
    B, H, T, _ = q_BHTK.shape
    w_HRK = (layer.get_buffer("directions_KR") * layer.sigma_H1K.mT).mT
    unit_q, unit_k = (x / x.norm(dim=-1, keepdim=True) for x in (q_BHTK, k_BHTK))
    away_BHTSK = unit_q[:, :, :, None] - unit_k[:, :, None, :]
    # sin a sin b + cos a cos b = cos(a - b): the mean over the directions is phi(q) phi(k).
    weights_BHTS = torch.einsum("bhtsk,hrk->bhtsr", away_BHTSK, w_HRK).cos().mean(-1)
    weights_BHTS = weights_BHTS * visible(T, valid_BT, causal=layer.causal, batch=B)
    least_BHT = torch.full((B, H, T), 2.718281828459045**-2, dtype=q_BHTK.dtype)
    if layer.gate is not None:
        k_BTE = torch.cat(k_BHTK.unbind(1), dim=-1)
        g_BTH = torch.sigmoid(k_BTE @ layer.gate.weight.T + layer.gate.bias)
        fades = torch.zeros(B, H, T, T, dtype=q_BHTK.dtype)
        for t in range(T):
            for s in range(t + 1):
                fades[:, :, t, s] = (1 - g_BTH[:, s]) * g_BTH[:, s + 1 : t + 1].prod(dim=1)
        weights_BHTS, least_BHT = weights_BHTS * fades, least_BHT * (1 - g_BTH.mT)
    bottom_BHT = torch.where(weights_BHTS.sum(-1) > least_BHT, weights_BHTS.sum(-1), least_BHT)
    return torch.einsum("bhts,bhsk->bhtk", weights_BHTS, v_BHTK) / bottom_BHT[..., None]
