from typing import Any

import torch
from torch import Tensor

from tests.references.dsa import spun
from tests.references.gated_deltanet import heads

OPTIONS = {"block": 8, "top": 3, "index_width": 6}


def reference(
    layer: Any,
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    q_BITW: Tensor,
    k_BTW: Tensor,
    valid_BT: Tensor | None,
) -> Tensor:
    """Query by query: its own block, the best of those before it, and one softmax a head."""
    B, H, T, K = q_BHTK.shape
    block = layer.config.block
    out = []
    for b in range(B):
        for t in range(T):
            for h in range(H):
                g = h * layer.kv_heads // H
                picked = chosen(layer, g, t, q_BITW[b, :, t], k_BTW[b])
                seen = [s for s in range(t + 1) if s // block in picked]
                logits_S = k_BGTK[b, g, seen] @ q_BHTK[b, h, t] / K**0.5
                out.append(torch.softmax(logits_S, dim=0) @ v_BGTK[b, g, seen])
    return torch.stack(out).view(B, T, H, K).transpose(1, 2)


@torch.no_grad()
def chosen(layer: Any, g: int, t: int, q_IW: Tensor, k_TW: Tensor) -> set[int]:
    block, own = layer.config.block, t // layer.config.block
    k_ZCW = k_TW[: own * block].unflatten(0, (own, block))
    if layer.config.pool == "max":
        scores, others = [float((k_CW @ q_IW[g]).max()) for k_CW in k_ZCW], layer.config.top - 1
    else:
        mean_ZW = spun(unit(k_ZCW.mean(1)), layer, turned(layer), block)
        scores, others = torch.relu(mean_ZW @ q_IW.T).sum(1).tolist(), layer.config.top
    return {own, *sorted(range(own), key=lambda z: -scores[z])[:others]}  # stable


def turned(layer: Any) -> int:
    return int(layer.config.index_width * layer.config.rotary) // 2 * 2


def unit(x: Tensor) -> Tensor:
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    given = {name: x_BTD @ layer.projections[name].weight.T for name in layer.inputs}
    q_BHTK = spun(heads(given["q"], layer.heads), layer, layer.turned)
    k_BGTK, v_BGTK = (heads(given[name], layer.kv_heads) for name in "kv")
    q_BITW = spun(unit(heads(given["index_q"], layer.index_heads)), layer, turned(layer))
    k_BTW = given["index_k"]
    if layer.config.pool == "max":
        k_BTW = spun(unit(k_BTW), layer, turned(layer))
    kv = spun(k_BGTK, layer, layer.turned), v_BGTK
    y_BHTV = reference(layer, q_BHTK, *kv, q_BITW, k_BTW, None)
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T
