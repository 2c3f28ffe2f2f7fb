import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import visible


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, _, T, K = q_BHTK.shape
    w_KF = layer.get_buffer("directions_KF")  # they hold the scale K^-1/4 of a query or key

    def features(x_BHTK: Tensor) -> Tensor:
        along_BHTF = torch.einsum("bhtk,kf->bhtf", x_BHTK, w_KF)
        if layer.config.kernel == "relu":  # type: ignore[attr-defined]
            return along_BHTF.clamp(min=0) + 1e-3
        half_BHT1 = (x_BHTK / K**0.25).norm(dim=-1, keepdim=True) ** 2 / 2
        return torch.exp(along_BHTF - half_BHT1)

    weights_BHTS = torch.einsum("bhtf,bhsf->bhts", features(q_BHTK), features(k_BHTK))
    weights_BHTS = weights_BHTS * visible(T, valid_BT, causal=layer.causal, batch=B)
    weights_BHTS = weights_BHTS / weights_BHTS.sum(-1, keepdim=True)
    return torch.einsum("bhts,bhsk->bhtk", weights_BHTS, v_BHTK)
