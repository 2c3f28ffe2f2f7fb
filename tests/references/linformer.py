from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import softmax_attention


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, real_BT: Tensor | None
) -> Tensor:
    B, H, T, K = q_BHTK.shape
    out_BHTK = torch.zeros_like(q_BHTK)
    for b in range(B):
        for h in range(H):
            E_TR, F_TR = (
                (mix[h] if mix.ndim == 3 else mix)[:T] for mix in (layer.mix_k, layer.mix_v)
            )
            k_RK = v_RK = torch.zeros(E_TR.shape[1], K, dtype=E_TR.dtype)
            for t in range(T):
                if real_BT is None or real_BT[b, t]:
                    k_RK = k_RK + torch.outer(E_TR[t], k_BHTK[b, h, t])
                    v_RK = v_RK + torch.outer(F_TR[t], v_BHTK[b, h, t])
            q_11TK = q_BHTK[b : b + 1, h : h + 1]
            out_BHTK[b, h] = softmax_attention(q_11TK, k_RK[None, None], v_RK[None, None])
    return out_BHTK
