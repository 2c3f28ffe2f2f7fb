from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import softmax_attention


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    out_BHTK = torch.zeros_like(q_BHTK)
    for b in range(B):
        real_T1 = torch.ones(T, 1).bool() if valid_BT is None else valid_BT[b, :, None]
        for h in range(H):
            E_TR, F_TR = (
                (mix[h] if mix.ndim == 3 else mix)[:T] * real_T1
                for mix in (layer.mix_k, layer.mix_v)
            )
            k_RK = torch.einsum("tr,tk->rk", E_TR, k_BHTK[b, h])
            v_RK = torch.einsum("tr,tk->rk", F_TR, v_BHTK[b, h])
            q_11TK = q_BHTK[b : b + 1, h : h + 1]
            out_BHTK[b, h] = softmax_attention(q_11TK, k_RK[None, None], v_RK[None, None])[0, 0]
    return out_BHTK
