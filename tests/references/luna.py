from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """A sequence at a time; when causal, a token and a head at a time with its own pack."""
    B, T = q_BHTK.shape[0], q_BHTK.shape[2]
    out_BHTK = torch.zeros_like(q_BHTK)
    for b in range(B):
        n = T if valid_BT is None else int(valid_BT[b].sum())
        parts = [x[b, :, :n] for x in (q_BHTK, k_BHTK, v_BHTK)]
        out_BHTK[b, :, :n] = _causal(layer, *parts) if layer.causal else _whole(layer, *parts)
    return out_BHTK


def _softmax(scores: Tensor) -> Tensor:
    return torch.exp(scores) / torch.exp(scores).sum(-1, keepdim=True)


def _whole(layer: Any, q_HTK: Tensor, k_HTK: Tensor, v_HTK: Tensor) -> Tensor:
    H, _, K = q_HTK.shape
    packed = [_softmax(layer.pack_HLK[h] @ k_HTK[h].T / K**0.5) @ v_HTK[h] for h in range(H)]
    c_LD = torch.cat(packed, dim=1) @ layer.get_parameter("context.weight").T
    heads = [c_LD[:, h * K : (h + 1) * K] for h in range(H)]
    return torch.stack(
        [_softmax(q_HTK[h] @ c_LK.T / K**0.5) @ c_LK for h, c_LK in enumerate(heads)]
    )


def _causal(layer: Any, q_HTK: Tensor, k_HTK: Tensor, v_HTK: Tensor) -> Tensor:
    H, T, K = q_HTK.shape
    rows = []
    for h in range(H):
        w_TL = torch.log2(1 + 2 ** (k_HTK[h] @ layer.pack_HLK[h].T / K**0.5))
        for t in range(T):
            c_LK = w_TL[: t + 1].T @ v_HTK[h, : t + 1] / (t + 1)
            rows.append(_softmax(c_LK @ q_HTK[h, t] / K**0.5) @ c_LK)
    return torch.stack(rows).view(H, T, K)
