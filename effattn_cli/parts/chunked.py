"""Causal linear attention in chunks: matrix products only, no state per token.

F features of a query or key, C tokens of a chunk, Z chunks.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad


def causal_linear(
    q_BHTF: Tensor, k_BHTF: Tensor, v_BHTK: Tensor, *, chunk: int = 128
) -> tuple[Tensor, Tensor]:
    """Numerator (B, H, T, K) and denominator (B, H, T, 1) of causal linear attention.

    Row t holds q_t . sum_{s<=t} k_s v_s and q_t . sum_{s<=t} k_s, for non-negative features q, k.
    Within a chunk the masked C x C products are formed, between chunks the running sums:
    N (2 F K + C (F + K)) multiply-adds, N F K / C numbers of state.
    """
    T = q_BHTF.shape[2]
    chunk = min(chunk, T)
    q_BHZCF, k_BHZCF, v_BHZCK = (_chunks(x, chunk) for x in (q_BHTF, k_BHTF, v_BHTK))
    within_BHZCC = (q_BHZCF @ k_BHZCF.mT).tril_()
    top_BHZCK = within_BHZCC @ v_BHZCK
    bottom_BHZC1 = within_BHZCC.sum(-1, keepdim=True)
    if T > chunk:
        state_BHZFK = _before(k_BHZCF.mT @ v_BHZCK)
        weight_BHZF1 = _before(k_BHZCF.sum(-2).unsqueeze(-1))
        top_BHZCK = top_BHZCK + q_BHZCF @ state_BHZFK
        bottom_BHZC1 = bottom_BHZC1 + q_BHZCF @ weight_BHZF1
    return top_BHZCK.flatten(2, 3)[:, :, :T], bottom_BHZC1.flatten(2, 3)[:, :, :T]


def _chunks(x_BHTE: Tensor, chunk: int) -> Tensor:
    B, H, T, E = x_BHTE.shape
    x_BHTE = pad(x_BHTE, (0, 0, 0, -T % chunk)) if T % chunk else x_BHTE
    return x_BHTE.reshape(B, H, -1, chunk, E)


def _before(x_BHZ: Tensor) -> Tensor:
    """Sum over the chunks before each one."""
    return torch.cat([torch.zeros_like(x_BHZ[:, :, :1]), x_BHZ[:, :, :-1].cumsum(2)], dim=2)
