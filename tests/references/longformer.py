import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import softmax_attention, visible


def reference(
    layer: Attention, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    k_BHTK, v_BHTK = (x.repeat_interleave(H // x.shape[1], dim=1) for x in (k_BGTK, v_BGTK))
    return softmax_attention(q_BHTK, k_BHTK, v_BHTK, seen(layer, B, T, valid_BT))


def seen(layer: Attention, batch: int, tokens: int, valid_BT: Tensor | None) -> Tensor:
    config = layer.config
    reach, first = config.window // 2, config.global_tokens  # type: ignore[attr-defined]
    pattern_TT = torch.tensor(
        [
            [i < first or j < first or abs(i - j) <= reach for j in range(tokens)]
            for i in range(tokens)
        ]
    )
    seen_B1TT = pattern_TT & visible(tokens, valid_BT, causal=layer.causal, batch=batch)
    return seen_B1TT | torch.eye(tokens, dtype=torch.bool)  # a query at padding sees something
