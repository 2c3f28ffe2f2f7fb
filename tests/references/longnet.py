from typing import Any

import torch
from torch import Tensor

OPTIONS = {"segment": 8}


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """Sums of exponentials, of pattern after pattern over all pairs that it holds."""
    B, H, T, K = q_BHTK.shape
    score_BHTS = torch.einsum("bhtk,bhsk->bhts", q_BHTK, k_BHTK) / K**0.5
    top_BHT1 = score_BHTS.amax(-1, keepdim=True)
    times_HTT = torch.stack([torch.tensor(meetings(layer, h, T)) for h in range(H)])
    valid_BT = torch.ones(B, T, dtype=torch.bool) if valid_BT is None else valid_BT
    # A padded query may see anything.
    seen_BTS = (valid_BT[:, None] | ~valid_BT[:, :, None])[:, None]
    weight_BHTS = torch.exp(score_BHTS - top_BHT1) * times_HTT * seen_BTS
    return torch.einsum("bhts,bhsk->bhtk", weight_BHTS / weight_BHTS.sum(-1, keepdim=True), v_BHTK)


def meetings(layer: Any, head: int, tokens: int) -> list[list[int]]:
    """In how many patterns a query meets a key."""
    config = layer.config
    patterns = [(config.segment, 1)]
    while len(patterns) < (config.patterns or 99):
        segment, stride = patterns[-1]
        if config.patterns is None and segment >= config.tokens:
            break
        patterns.append((segment * config.growth, stride * config.growth))
    rows = []
    for i in range(tokens):
        row = [0] * tokens
        for segment, stride in patterns:
            start = i - i % segment
            picked = range(start + head % stride, min(start + segment, tokens), stride)
            if i in picked:
                for j in picked:
                    row[j] += j <= i or not layer.causal
        rows.append(row)
    return rows
