import math

import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import softmax_attention


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    T = q_BHTK.shape[2]
    heads = []
    for h in range(layer.heads):
        one = slice(h, h + 1)
        rows = [[sees(layer, h, i, j) for j in range(T)] for i in range(T)]
        heads.append(
            softmax_attention(q_BHTK[:, one], k_BHTK[:, one], v_BHTK[:, one], torch.tensor(rows))
        )
    return torch.cat(heads, dim=1)


def sees(layer: Attention, head: int, i: int, j: int) -> bool:
    """Whether query i may look at key j: the union of the paper's two sets."""
    config = layer.config
    stride = config.stride or 2 ** math.floor(math.log2(config.tokens**0.5) + 1 / 2)  # type: ignore[attr-defined]
    if j > i:
        return False
    if config.pattern == "strided":  # type: ignore[attr-defined]
        return i - j < stride or (i - j) % stride == 0
    width = min(config.summary, stride)  # type: ignore[attr-defined]
    last = stride - head % (stride // width) * width  # where the head's run of `width` ends
    return i // stride == j // stride or last - width <= j % stride < last
