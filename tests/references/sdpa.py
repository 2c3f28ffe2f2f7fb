import torch
from torch import Tensor

from effattn_cli.attention import Attention


def softmax_attention(
    q_BHTK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, seen_BHTS: Tensor | None = None
) -> Tensor:
    """softmax over the keys that `seen` allows, by exponentials and a sum."""
    scores_BHTS = torch.einsum("bhtk,bhsk->bhts", q_BHTK, k_BHSK) / q_BHTK.shape[-1] ** 0.5
    weights_BHTS = torch.exp(scores_BHTS - scores_BHTS.amax(-1, keepdim=True))
    if seen_BHTS is not None:
        weights_BHTS = weights_BHTS * seen_BHTS
    weights_BHTS = weights_BHTS / weights_BHTS.sum(-1, keepdim=True)
    return torch.einsum("bhts,bhsk->bhtk", weights_BHTS, v_BHSK)


def visible(
    tokens: int, valid_BT: Tensor | None = None, *, causal: bool = False, batch: int = 1
) -> Tensor:
    """Which key each query may see, (B, 1, T, T)."""
    seen_BTS = torch.ones(batch, tokens, tokens, dtype=torch.bool)
    if causal:
        seen_BTS &= torch.arange(tokens)[:, None] >= torch.arange(tokens)[None, :]
    if valid_BT is not None:
        seen_BTS = seen_BTS & valid_BT[:, None, :]
    return seen_BTS[:, None]


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    times = q_BHTK.shape[1] // k_BHTK.shape[1]
    k_BHTK, v_BHTK = (x.repeat_interleave(times, dim=1) for x in (k_BHTK, v_BHTK))
    B, _, T, _ = q_BHTK.shape
    return softmax_attention(
        q_BHTK, k_BHTK, v_BHTK, visible(T, valid_BT, causal=layer.causal, batch=B)
    )
