from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """As the paper has it: roll, cut into windows, mask what was not together, roll back."""
    T, K = q_BHTK.shape[2:]
    window = layer.config.window
    shift = window // 2 if layer.config.shift is None else layer.config.shift
    longest = (len(layer.bias) + 1) // 2
    scores_BHTS = torch.einsum("bhtk,bhsk->bhts", q_BHTK, k_BHTK) / K**0.5
    weights_BHTS = torch.zeros_like(scores_BHTS)
    # T need not be a multiple of the window: the place of a token in the rolled, longer sequence.
    length = -(-T // window) * window + window
    position = [(t - shift) % length for t in range(T)]
    for i in range(T):
        for j in range(T):
            if position[i] // window == position[j] // window and abs(i - j) < window:
                bias_H = layer.bias[i - j + longest - 1]
                weights_BHTS[:, :, i, j] = torch.exp(scores_BHTS[:, :, i, j] + bias_H)
    if valid_BT is not None:
        weights_BHTS = weights_BHTS * (valid_BT[:, None, None, :] | torch.eye(T).bool())
    weights_BHTS = weights_BHTS / weights_BHTS.sum(-1, keepdim=True)
    return torch.einsum("bhts,bhsk->bhtk", weights_BHTS, v_BHTK)
