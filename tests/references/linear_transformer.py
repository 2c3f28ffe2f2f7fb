import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import visible


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    def phi(x: Tensor) -> Tensor:
        return torch.where(x > 0, x + 1, torch.exp(x))

    B, _, T, _ = q_BHTK.shape
    weights_BHTS = torch.einsum("bhtk,bhsk->bhts", phi(q_BHTK), phi(k_BHTK))
    weights_BHTS = weights_BHTS * visible(T, valid_BT, causal=layer.causal, batch=B)
    total_BHT1 = weights_BHTS.sum(-1, keepdim=True) + 1e-6
    return torch.einsum("bhts,bhsk->bhtk", weights_BHTS / total_BHT1, v_BHTK)
