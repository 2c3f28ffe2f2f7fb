import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import softmax_attention, visible


def reference(
    layer: Attention, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, real_BT: Tensor | None
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    k_BHTK, v_BHTK = (x.repeat_interleave(H // x.shape[1], dim=1) for x in (k_BGTK, v_BGTK))
    window = layer.config.window  # type: ignore[attr-defined]
    seen_B1TT = visible(T, real_BT, causal=layer.causal, batch=B).clone()
    reach = window - 1 if layer.causal else window // 2
    for i in range(T):
        seen_B1TT[:, :, i, : max(0, i - reach)] = False
        seen_B1TT[:, :, i, i + reach + 1 :] = False
    return softmax_attention(q_BHTK, k_BHTK, v_BHTK, seen_B1TT | torch.eye(T, dtype=torch.bool))
