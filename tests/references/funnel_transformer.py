from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """A query at a time; its pair listed, its distance to each key written out."""
    B, H, T, K = q_BHTK.shape
    separate, dim = layer.config.separate_cls, layer.config.dim
    order = [0, *range(max(1, T - 1))] if separate else list(range(T))
    pairs = [order[i : i + 2] for i in range(0, len(order), 2)]
    turn_E = 10000.0 ** (-torch.arange(0, dim, 2, dtype=q_BHTK.dtype) / dim)
    keys = torch.arange(T, dtype=q_BHTK.dtype)
    out_BHPK = q_BHTK.new_zeros(B, H, len(pairs), K)
    for h in range(H):
        u_K, v_bias_K = layer.positions.content_H1K[h, 0], layer.positions.position_H1K[h, 0]
        rows_KD = layer.positions.project.weight[h * K : (h + 1) * K]
        for p, pair in enumerate(pairs):
            at = 2 * p - 1 if separate else 2 * p
            angle_TE = (at - keys)[:, None] * turn_E
            r_TK = torch.cat([torch.sin(angle_TE), torch.cos(angle_TE)], dim=1) @ rows_KD.T
            for b in range(B):
                q_K = torch.stack([q_BHTK[b, h, t] for t in pair]).mean(0)
                positions_T = r_TK @ (q_K + v_bias_K)
                if separate:
                    positions_T = positions_T * (keys > 0) * (p > 0)
                scores_T = (k_BHTK[b, h] @ (q_K + u_K) + positions_T) / K**0.5
                if valid_BT is not None:
                    scores_T = scores_T[valid_BT[b]]
                seen_SK = v_BHTK[b, h] if valid_BT is None else v_BHTK[b, h][valid_BT[b]]
                out_BHPK[b, h, p] = torch.softmax(scores_T, dim=0) @ seen_SK
    return out_BHPK
