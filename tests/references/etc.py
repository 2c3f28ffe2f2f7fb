from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import visible


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """score(i, j) = q_i (k_j + a_label(i, j)) / sqrt K over the keys that i sees."""
    B, _, T, K = q_BHTK.shape
    seen_TT, label_TT = torch.zeros(T, T, dtype=torch.bool), torch.zeros(T, T, dtype=torch.int64)
    for i in range(T):
        for j in range(T):
            seen_TT[i, j], label_TT[i, j] = relation(layer.config, i, j)
    label_HLK = layer.labels_HKL.mT
    sum_BHTTK = k_BHTK[:, :, None] + label_HLK[:, label_TT]
    scores_BHTT = torch.einsum("bhik,bhijk->bhij", q_BHTK, sum_BHTTK) / K**0.5
    hidden_B1TT = ~(seen_TT & visible(T, valid_BT, batch=B)) & ~torch.eye(T, dtype=torch.bool)
    return scores_BHTT.masked_fill(hidden_B1TT, -torch.inf).softmax(-1) @ v_BHTK


def relation(config: Any, i: int, j: int) -> tuple[bool, int]:
    """Whether i sees j, and the label of the two."""
    first, clip = config.global_tokens, config.max_distance
    if (i < first) == (j < first):
        distance = max(-clip, min(clip, j - i))
        return i < first or abs(i - j) <= config.radius, distance + clip
    globally, long = min(i, j), max(i, j) - first
    length = max(1, -(-(config.tokens - first) // first))
    return True, 2 * clip + (1 if long // length == globally else 2)
