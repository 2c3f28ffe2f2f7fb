from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import softmax_attention, visible


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    vectors = layer.config.vectors
    seen_B1TT = visible(T, valid_BT, causal=layer.causal, batch=B)
    seen_B1TS = torch.cat([seen_B1TT, torch.ones(B, 1, T, vectors, dtype=torch.bool)], dim=3)
    heads = []
    for h in range(H):
        k_B1SK, v_B1SK = (
            torch.stack([torch.cat([x[b, h], own[h]]) for b in range(B)])[:, None]
            for x, own in ((k_BHTK, layer.k_HMK), (v_BHTK, layer.v_HMK))
        )
        heads.append(softmax_attention(q_BHTK[:, h : h + 1], k_B1SK, v_B1SK, seen_B1TS))
    return torch.cat(heads, dim=1)
