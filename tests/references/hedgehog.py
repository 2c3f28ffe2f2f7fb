from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import visible


def features(x_BHTK: Tensor, map_HKK: Tensor) -> Tensor:
    y_BHTK = torch.einsum("hfk,bhtk->bhtf", map_HKK, x_BHTK)
    high, low = torch.exp(y_BHTK), torch.exp(-y_BHTK)
    parts = [high / high.sum(-1, keepdim=True), low / low.sum(-1, keepdim=True)]
    return torch.cat(parts, dim=-1)


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """The weights of all pairs, divided by their sum."""
    B, _, T, _ = q_BHTK.shape
    q_BHTF, k_BHSF = features(q_BHTK, layer.query_HKK), features(k_BHTK, layer.key_HKK)
    weights_BHTS = torch.einsum("bhtf,bhsf->bhts", q_BHTF, k_BHSF)
    weights_BHTS = weights_BHTS * visible(T, valid_BT, causal=layer.causal, batch=B)
    weights_BHTS = weights_BHTS / weights_BHTS.sum(-1, keepdim=True)
    return torch.einsum("bhts,bhsk->bhtk", weights_BHTS, v_BHTK)
