import math
from typing import Any

import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import softmax_attention


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """One pair of blocks after another; a pair without a real key gives 0."""
    B, H, T, _ = q_BHTK.shape
    size = math.ceil(T / layer.config.blocks)  # type: ignore[attr-defined]
    starts = range(0, T, size)
    out_BHTK = torch.zeros_like(q_BHTK)
    for b in range(B):
        tokens = T if valid_BT is None else int(valid_BT[b].sum())
        for h in range(H):
            for i, start in enumerate(starts):
                first = starts[(i + shift(layer, h, len(starts))) % len(starts)]
                rows = slice(start, start + size)
                keys = slice(first, min(first + size, tokens))
                if first < tokens:
                    of = q_BHTK[b, h, rows], k_BHTK[b, h, keys], v_BHTK[b, h, keys]
                    out_BHTK[b, h, rows] = softmax_attention(*(x[None, None] for x in of))[0, 0]
    return out_BHTK


def shift(layer: Attention, head: int, blocks: int) -> int:
    """How far the head looks: 0 for the first heads; the last ones take 1, 2, ... in turn."""
    config: Any = layer.config
    shifted = config.shifted
    if shifted is None:
        each = max(1, round(config.heads / 6))
        shifted = min(config.heads - 1, (config.blocks - 1) * each)
    beyond = head - (config.heads - shifted)
    return 0 if beyond < 0 or blocks == 1 else beyond % (blocks - 1) + 1
