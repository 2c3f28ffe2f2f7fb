from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import softmax_attention


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, _, T, _ = q_BHTK.shape
    lengths = [T] * B if valid_BT is None else valid_BT.sum(1).tolist()
    outs = []
    for b, length in enumerate(lengths):
        q, k, v = (x[b : b + 1, :, :length] for x in (q_BHTK, k_BHTK, v_BHTK))
        out_1HTK = _sequence(layer, q, k, v)
        rest_1HTK = torch.zeros_like(q_BHTK[:1, :, length:])
        outs.append(torch.cat([out_1HTK, rest_1HTK], dim=2))
    return torch.cat(outs)


def _sequence(layer: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Without padding, (1, H, T, K)."""
    _, H, T, K = q.shape
    config = layer.config
    near_TT = torch.tensor(
        [[abs(i - j) <= config.window // 2 for j in range(T)] for i in range(T)]
    ).view(T, T)
    y = softmax_attention(q, k, v, near_TT)
    y_TE = y[0].transpose(0, 1).reshape(T, H * K)
    again = [
        (y_TE @ layer.get_parameter(f"again.{name}.weight").T).view(T, H, K).transpose(0, 1)
        for name in "qkv"
    ]
    starts = range(0, T, config.pool_stride)
    pooled = [
        torch.stack(
            [
                torch.stack(
                    [_pool(layer, name, h, x_HTK[h, s : s + config.pool_size]) for s in starts]
                )
                for h in range(H)
            ]
        )[None]
        for name, x_HTK in zip("kv", again[1:], strict=True)
    ]
    far = config.pool_window // (2 * config.pool_stride)
    far_TZ = torch.tensor(
        [[abs(i // config.pool_stride - z) <= far for z in range(len(starts))] for i in range(T)]
    )
    return y + softmax_attention(again[0][None], pooled[0], pooled[1], far_TZ)


def _pool(layer: Any, name: str, head: int, x_SK: Tensor) -> Tensor:
    """One stretch, which may be cut short by the end."""
    if layer.config.pooling == "mean":
        return x_SK.mean(0)
    if layer.config.pooling == "max":
        return x_SK.max(0).values
    map_SKS = getattr(layer, f"mix_{name}_HJS")[head].view(
        layer.config.pool_size, layer.head_dim, layer.config.pool_size
    )
    logits_S = torch.einsum("sk,skr->r", x_SK, map_SKS[: len(x_SK)])[: len(x_SK)]
    return logits_S.softmax(0) @ x_SK
