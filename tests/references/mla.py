from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import heads
from tests.references.sdpa import visible


def reference(layer: Any, q_BHTK: Tensor, row_BTE: Tensor, valid_BT: Tensor | None) -> Tensor:
    """Head by head: its keys, its scores, its values."""
    B, H, T, _ = q_BHTK.shape
    C, rope = layer.config.latent, layer.config.rope
    nope = q_BHTK.shape[-1] - rope
    seen_BTT = visible(T, valid_BT, causal=layer.causal, batch=B)[:, 0]
    latent_BTC, position_BTR = row_BTE.split([C, rope], dim=-1)
    out = []
    for h in range(H):
        k_BTN = torch.einsum("btc,cn->btn", latent_BTC, layer.up.key_HCN[h])
        v_BTV = torch.einsum("btc,cv->btv", latent_BTC, layer.up.value_HCV[h])
        scores_BTT = torch.einsum("btn,bsn->bts", q_BHTK[:, h, :, :nope], k_BTN)
        scores_BTT = scores_BTT + torch.einsum("btr,bsr->bts", q_BHTK[:, h, :, nope:], position_BTR)
        weights_BTT = torch.exp(scores_BTT / (nope + rope) ** 0.5) * seen_BTT
        weights_BTT = weights_BTT / weights_BTT.sum(-1, keepdim=True)
        out.append(torch.einsum("bts,bsv->btv", weights_BTT, v_BTV))
    return torch.stack(out, dim=1)


def of_unit_size(x: Tensor, weight: Tensor) -> Tensor:
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight


def rotated(x_BHTR: Tensor, layer: Any) -> Tensor:
    """Pairs of a first and a second half as complex numbers, times e^(i angle)."""
    if not layer.config.turn:
        return x_BHTR
    a, b = x_BHTR.chunk(2, dim=-1)
    turn_TR = torch.complex(*(x[: x_BHTR.shape[-2]] for x in (layer.cos_TR, layer.sin_TR)))
    z = torch.complex(a, b) * turn_TR
    return torch.cat([z.real, z.imag], dim=-1)


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    C, rope = layer.config.latent, layer.config.rope
    row_BTE = x_BTD @ layer.projections["latent"].weight.T
    row_BTE = torch.cat(
        [of_unit_size(row_BTE[..., :C], layer.norm.weight), rotated(row_BTE[..., C:], layer)],
        dim=-1,
    )
    if layer.config.query_rank:
        down, norm, up = layer.projections["q"]
        q_BTE = of_unit_size(x_BTD @ down.weight.T, norm.weight) @ up.weight.T
    else:
        q_BTE = x_BTD @ layer.projections["q"].weight.T
    q_BHTK = heads(q_BTE, layer.heads)
    nope = q_BHTK.shape[-1] - rope
    q_BHTK = torch.cat([q_BHTK[..., :nope], rotated(q_BHTK[..., nope:], layer)], dim=-1)
    y_BHTV = reference(layer, q_BHTK, row_BTE, None)
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T


OPTIONS = {"latent": 24, "rope": 8}
