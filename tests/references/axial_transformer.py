import math

import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import softmax_attention, visible


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """By N x N matrices of which most entries are 0."""
    B, _, T, _ = q_BHTK.shape
    width = layer.config.width or math.ceil(layer.config.tokens**0.5)  # type: ignore[attr-defined]
    row_T, column_T = torch.arange(T) // width, torch.arange(T) % width
    same_row_TT, same_column_TT = (x[:, None] == x for x in (row_T, column_T))
    any_B1TT = visible(T, valid_BT, batch=B) | torch.eye(T).bool()
    before_TT = torch.ones(T, T).tril().bool()
    if not layer.causal:
        mixed_BHTK = softmax_attention(q_BHTK, k_BHTK, v_BHTK, any_B1TT & same_row_TT)
        return softmax_attention(q_BHTK, k_BHTK, mixed_BHTK, any_B1TT & same_column_TT)
    mixed_BHTK = softmax_attention(q_BHTK, k_BHTK, v_BHTK, same_row_TT)
    outer_BHTK = softmax_attention(q_BHTK, k_BHTK, mixed_BHTK, same_column_TT & before_TT)
    inner_BHTK = v_BHTK.clone()
    for t in range(width, T):
        inner_BHTK[:, :, t] = v_BHTK[:, :, t] + outer_BHTK[:, :, t - width]
    return softmax_attention(q_BHTK, k_BHTK, inner_BHTK, same_row_TT & before_TT)
