"""All n^2 slots scored, the best of them sorted out, a token and a head at a time."""

from typing import Any

import torch
from torch import Tensor


def reference(layer: Any, x_BTD: Tensor, _: Tensor | None) -> Tensor:
    config = layer.config
    half = config.query // 2
    rows = []
    for x_D in x_BTD.flatten(0, 1):
        parts = (layer.to_query.weight @ x_D).view(2 * config.heads, half)
        centred = parts - parts.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        parts = centred / spread * layer.norm.weight + layer.norm.bias
        y = torch.zeros_like(x_D)
        for head in range(config.heads):
            one, two = (parts[2 * head + k] @ layer.keys_ZPJ[2 * head + k] for k in range(2))
            scores = (one[:, None] + two[None, :]).flatten()
            best = scores.detach().argsort(descending=True)[: config.best]
            y = y + scores[best].softmax(0) @ layer.values_SD[best]
        rows.append(y)
    return torch.stack(rows).view_as(x_BTD)
