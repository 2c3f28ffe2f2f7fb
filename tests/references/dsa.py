from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import heads
from tests.references.mla import of_unit_size

OPTIONS = {"top": 9, "index_heads": 3, "index_width": 8}


def reference(layer: Any, *given: Any) -> Tensor:
    """Query by query: every score of the index, the best of them, one softmax a head."""
    q_BHTK, *kept = given[:2] if layer.config.over == "mla" else given[:3]
    index = given[1 + len(kept) : -1]
    k_BHTK, v_BHTV = (made if layer.config.over == "mla" else repeated)(layer, *kept)
    B, H, T, K = q_BHTK.shape
    out = []
    for b in range(B):
        for t in range(T):
            seen = chosen(layer, b, t, *index) if index else evenly(layer, t)
            for h in range(H):
                weight_S = torch.softmax(k_BHTK[b, h, seen] @ q_BHTK[b, h, t] / K**0.5, dim=0)
                out.append(weight_S @ v_BHTV[b, h, seen])
    return torch.stack(out).view(B, T, H, -1).transpose(1, 2)


@torch.no_grad()
def chosen(
    layer: Any, b: int, t: int, q_BITW: Tensor, k_BTW: Tensor, weight_BIT: Tensor, *gate: Tensor
) -> list[int]:
    """The tokens of the best pools, and those behind the last that is full."""
    R, pools = layer.config.pool, (t + 1) // layer.config.pool
    keys = k_BTW[b] if R == 1 else pooled(layer, k_BTW[b], gate[0][b], pools)
    each_IS = torch.relu(torch.einsum("iw,sw->is", q_BITW[b, :, t], keys[:pools]))
    scores = torch.einsum("i,is->s", weight_BIT[b, :, t], each_IS).tolist()
    best = sorted(range(pools), key=lambda s: -scores[s])[: layer.config.top // R]  # stable
    return in_pools(layer, best, t)


def pooled(layer: Any, k_TW: Tensor, gate_TW: Tensor, pools: int) -> Tensor:
    R = layer.config.pool
    keys = [torch.zeros(0, k_TW.shape[1], dtype=k_TW.dtype)]
    for start in range(0, pools * R, R):
        weight_RW = torch.exp(gate_TW[start : start + R] + layer.index.pooler.bias_RE)
        mean_W = (weight_RW * k_TW[start : start + R]).sum(0) / weight_RW.sum(0)
        keys.append(mean_W[None])
    return torch.cat(keys)


def evenly(layer: Any, t: int) -> list[int]:
    R, pools = layer.config.pool, (t + 1) // layer.config.pool
    count = layer.config.top // R
    if pools <= count:
        return list(range(t + 1))
    return in_pools(layer, [pools - 1 - pools * j // count for j in range(count)], t)


def in_pools(layer: Any, pools: list[int], t: int) -> list[int]:
    R = layer.config.pool
    tokens = [R * pool + position for pool in pools for position in range(R)]
    return tokens + list(range((t + 1) // R * R, t + 1))


def repeated(layer: Any, *kv: Tensor) -> list[Tensor]:
    return [
        torch.stack([x[:, h * layer.kv_heads // layer.heads] for h in range(layer.heads)], 1)
        for x in kv
    ]


def made(layer: Any, row_BTE: Tensor) -> list[Tensor]:
    """Keys and values of every head out of the latent."""
    latent_BTC, position_BTR = row_BTE.split([layer.config.latent, layer.config.rope], dim=-1)
    k_BHTN = torch.einsum("btc,hcn->bhtn", latent_BTC, layer.over.up.key_HCN)
    v_BHTV = torch.einsum("btc,hcv->bhtv", latent_BTC, layer.over.up.value_HCV)
    position_BHTR = torch.stack([position_BTR] * layer.heads, dim=1)
    return [torch.cat([k_BHTN, position_BHTR], dim=-1), v_BHTV]


def spun(x: Tensor, layer: Any, width: int, step: int = 1) -> Tensor:
    """The first numbers, pairs of a first and a second half, as complex times e^(i angle), for
    every `step`-th token.
    """
    if not width:
        return x
    a, b = x[..., :width].chunk(2, dim=-1)
    position_T1 = step * torch.arange(x.shape[-2], dtype=torch.float64)[:, None]
    rate_R = layer.config.rotary_base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle_TR = position_T1 * rate_R
    turn_TR = torch.complex(*(x.float().double() for x in (angle_TR.cos(), angle_TR.sin())))
    z = torch.complex(a, b) * turn_TR
    return torch.cat([z.real, z.imag, x[..., width:]], dim=-1)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    config = layer.config
    given = {name: x_BTD @ layer.projections[name].weight.T for name in layer.inputs}
    q_BHTK = heads(given["q"], layer.heads)
    if config.over == "mla":
        K, C = layer.head_dim, config.latent
        q_BHTK = torch.cat([q_BHTK[..., :K], spun(q_BHTK[..., K:], layer, config.rope)], dim=-1)
        latent_BTC = of_unit_size(given["latent"][..., :C], layer.over.norm.weight)
        position_BTR = spun(given["latent"][..., C:], layer, config.rope)
        kept, turned = [torch.cat([latent_BTC, position_BTR], dim=-1)], config.rope
    else:
        R, turned = layer.turned, int(config.index_width * config.rotary) // 2 * 2
        k_BGTK, v_BGTK = (heads(given[name], layer.kv_heads) for name in "kv")
        q_BHTK, kept = spun(q_BHTK, layer, R), [spun(k_BGTK, layer, R), v_BGTK]
    index: list[Tensor] = []
    if not config.shared:
        q_BITW = heads(given["index_q"], config.index_heads)
        k_BTW = given["index_k"] - given["index_k"].mean(-1, keepdim=True)
        k_BTW = k_BTW / torch.sqrt(k_BTW.square().mean(-1, keepdim=True) + 1e-6)
        index = [spun(q_BITW, layer, turned), spun(k_BTW, layer, turned),
                 given["index_weight"].transpose(1, 2)]  # fmt: skip
        index += [given["index_gate"]] if config.pool > 1 else []
    y_BHTV = reference(layer, q_BHTK, *kept, *index, None)
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T
