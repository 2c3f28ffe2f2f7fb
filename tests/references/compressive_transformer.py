from typing import Any

import torch
from torch import Tensor

from tests.references.transformer_xl import relative_row


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """Each segment's memories made anew from all tokens before it."""
    L, M, C, c = (
        getattr(layer.config, x) for x in ("segment", "memory", "compressed", "compression")
    )
    out_BHTK = torch.zeros_like(q_BHTK)
    B, H, T, K = q_BHTK.shape

    def compressed(x_BHTK: Tensor, linear: Any, b: int, h: int, left: int) -> Tensor:
        """The last C of all tokens that left the memory, c at a time."""
        made = []
        for first in range(0, left, c):
            tokens = [x_BHTK[b, :, t].reshape(-1) for t in range(first, first + c)]
            made.append((linear.weight @ torch.cat(tokens) + linear.bias)[h * K : (h + 1) * K])
        made = made[len(made) - C :] if len(made) > C else made
        return torch.stack(made).detach() if made else x_BHTK[b, h, :0]

    for b in range(B):
        for h in range(H):
            for begin in range(0, T, L):
                left = max(0, begin - M)
                far = [
                    compressed(x, linear, b, h, left)
                    for x, linear in ((k_BHTK, layer.compress_k), (v_BHTK, layer.compress_v))
                ]
                for t in range(begin, min(T, begin + L)):
                    seen = [
                        torch.cat([old, x[b, h, left:begin].detach(), x[b, h, begin : t + 1]])
                        for old, x in zip(far, (k_BHTK, v_BHTK), strict=True)
                    ]
                    out_BHTK[b, h, t] = relative_row(layer, h, q_BHTK[b, h, t], *seen)
    return out_BHTK
