from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import visible


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """The polynomial of every score, no features."""
    B, _, T, d = q_BHTK.shape
    scores_BHTS = torch.einsum("bhtd,bhsd->bhts", q_BHTK, k_BHTK) / d**0.5
    weights_BHTS = 1 + scores_BHTS + scores_BHTS**2 / 2
    weights_BHTS = weights_BHTS * visible(T, valid_BT, causal=layer.causal, batch=B)
    weights_BHTS = weights_BHTS / weights_BHTS.sum(-1, keepdim=True)
    return torch.einsum("bhts,bhsv->bhtv", weights_BHTS, v_BHTK)
