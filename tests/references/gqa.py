import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import softmax_attention, visible


def reference(
    layer: Attention, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, real_BT: Tensor | None
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    seen_B1TT = visible(T, real_BT, causal=layer.causal, batch=B)
    heads = []
    for h in range(H):
        g = h * layer.kv_heads // H
        k_B1TK, v_B1TK = k_BGTK[:, g : g + 1], v_BGTK[:, g : g + 1]
        heads.append(softmax_attention(q_BHTK[:, h : h + 1], k_B1TK, v_B1TK, seen_B1TT))
    return torch.cat(heads, dim=1)
