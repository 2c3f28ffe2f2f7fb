from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import convolution, heads, of_length_1


def reference(
    layer: Any,
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    beta_BHT: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    """The state's old value of a key is read, mixed with the new one, and put in its place."""
    B, H, T, V = v_BHTV.shape
    K, rows = q_BHTK.shape[-1], []
    for b in range(B):
        for h in range(H):
            S_VK = v_BHTV.new_zeros(V, K)
            for t in range(T):
                q_K, k_K = (of_length_1(x[b, h, t]) for x in (q_BHTK, k_BHTK))
                beta, old_V = beta_BHT[b, h, t], S_VK @ k_K
                new_V = beta * v_BHTV[b, h, t] + (1 - beta) * old_V
                S_VK = S_VK - torch.outer(old_V, k_K) + torch.outer(new_V, k_K)
                rows.append(S_VK @ q_K / K**0.5)
    y_BHTV = torch.stack(rows).view(B, H, T, V)
    return y_BHTV / torch.sqrt(y_BHTV.square().mean(-1, keepdim=True) + 1e-5) * layer.norm_V


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    made = {name: x_BTD @ layer.projections[name].weight.T for name in layer.inputs}
    side_BTE = torch.cat([made["q"], made["k"], made["v"]], dim=-1)
    q, k, v = (heads(x, layer.heads) for x in convolution(layer.conv, side_BTE).chunk(3, dim=-1))
    beta_BHT = torch.sigmoid(made["beta"]).mT * (2 if layer.config.negative else 1)
    y_BHTV = reference(layer, q, k, v, beta_BHT, None)
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T
