from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from tests.references.sdpa import softmax_attention


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    valid_BT = torch.ones(B, T, dtype=torch.bool) if valid_BT is None else valid_BT
    if layer.config.layer == "local":
        return _local(layer, q_BHTK, k_BHTK, v_BHTK, valid_BT)
    rows = [
        [
            _sequence(layer, h, q_BHTK[b, h], k_BHTK[b, h], v_BHTK[b, h], valid_BT[b])
            for h in range(H)
        ]
        for b in range(B)
    ]
    return torch.stack([torch.stack(heads) for heads in rows])


def _sequence(
    layer: Any, head: int, q_TK: Tensor, k_TK: Tensor, v_TK: Tensor, valid_T: Tensor
) -> Tensor:
    C, T = layer.config.compression, len(q_TK)
    real = int(valid_T.sum())
    k_ZK = _convolve(k_TK[:real], layer.squeeze_k_HJK[head], C)
    v_ZK = _convolve(v_TK[:real], layer.squeeze_v_HJK[head], C)
    if layer.causal:  # slot 0 is token 0, slot j stretch j - 1
        k_ZK, v_ZK = torch.cat([k_TK[:1], k_ZK]), torch.cat([v_TK[:1], v_ZK])
    seen_TZ = torch.ones(T, len(k_ZK), dtype=torch.bool)
    if layer.causal:
        for t in range(T):
            for j in range(len(k_ZK)):
                seen_TZ[t, j] = j * C <= t
    q, k, v = q_TK[None, None], k_ZK[None, None], v_ZK[None, None]
    return softmax_attention(q, k, v, seen_TZ)[0, 0]


def _convolve(x_TK: Tensor, weight_JK: Tensor, size: int) -> Tensor:
    T, K = x_TK.shape
    missing_K = torch.zeros(-T % size, K, dtype=x_TK.dtype)
    kernel_KKC = weight_JK.view(size, K, K).permute(2, 1, 0)
    return conv1d(torch.cat([x_TK, missing_K]).T, kernel_KKC, stride=size).T


def _local(layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor) -> Tensor:
    T, block = q_BHTK.shape[2], layer.config.block_size
    seen_BTT = torch.zeros(len(q_BHTK), T, T, dtype=torch.bool)
    for i in range(T):
        for j in range(T):
            if i // block == j // block and (j <= i or not layer.causal):
                seen_BTT[:, i, j] = valid_BT[:, j]
        seen_BTT[:, i, i] = True  # a query at padding sees something
    return softmax_attention(q_BHTK, k_BHTK, v_BHTK, seen_BTT[:, None])
