import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import softmax_attention


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    T = q_BHTK.shape[2]
    sees = sees_1d if layer.config.across is None else sees_2d  # type: ignore[attr-defined]
    seen_TT = torch.tensor([[j <= i and sees(layer, i, j) for j in range(T)] for i in range(T)])
    return softmax_attention(q_BHTK, k_BHTK, v_BHTK, seen_TT)


def sees_1d(layer: Attention, i: int, j: int) -> bool:
    block, memory = layer.config.block, layer.config.memory  # type: ignore[attr-defined]
    return bool(j >= i // block * block - memory)


def sees_2d(layer: Attention, i: int, j: int) -> bool:
    """Not more than a block away in either direction of the image."""
    block, across = layer.config.block, layer.config.across  # type: ignore[attr-defined]
    (row_i, column_i), (row_j, column_j) = (divmod(token // block, across) for token in (i, j))
    return abs(row_i - row_j) <= 1 and abs(column_i - column_j) <= 1
