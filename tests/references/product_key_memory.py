"""All n^2 slots scored and the best of them taken, a token at a time."""

from typing import Any

import torch
from torch import Tensor

OPTIONS = {"keys": 64}


def reference(layer: Any, x_BTD: Tensor, _: Tensor | None) -> Tensor:
    config = layer.config
    H, half = config.queries, config.width // 2
    parts = (x_BTD.flatten(0, 1) @ layer.to_query.weight.mT).unflatten(-1, (2 * H, half))
    centred = parts - parts.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    parts = centred / spread * layer.norm.weight + layer.norm.bias
    halves = torch.einsum("nzp,zpj->nzj", parts, layer.keys_ZPJ)
    rows = []
    for row in halves:
        one, two = row[0::2], row[1::2]
        with torch.no_grad():
            slots = (one[:, :, None] + two[:, None, :]).flatten(1).topk(config.best).indices
        i, j = slots // config.keys, slots % config.keys
        weights = (one.gather(1, i) + two.gather(1, j)).softmax(-1)
        rows.append((weights, slots))
    weights, slots = (torch.stack(column) for column in zip(*rows, strict=True))
    y = (weights.unsqueeze(-1) * layer.values_SD[slots]).sum((1, 2))
    return y.view_as(x_BTD)
