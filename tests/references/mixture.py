"""A mixture of experts, a token and a choice at a time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Expert = Callable[[int, Tensor], Tensor]


def mixture(
    layer: Any, x_BTD: Tensor, valid_BT: Tensor | None, *, choices: int, group: int, expert: Expert
) -> Tensor:
    """Groups of `group` tokens; `expert(e, x)` is what expert e makes of one token."""
    B, T, _ = x_BTD.shape
    size = min(group, T)
    room = max(4, int(size * layer.config.eval_capacity / layer.config.experts))
    out = []
    for b in range(B):
        real = T if valid_BT is None else int(valid_BT[b].sum())
        for begin in range(0, T, size):
            out += _group(
                layer, x_BTD[b, begin : begin + size], real - begin, choices, room, expert
            )
    return torch.stack(out).view_as(x_BTD)


def _group(
    layer: Any, x_SD: Tensor, real: int, choices: int, room: int, expert: Expert
) -> list[Tensor]:
    p_SE = (x_SD @ layer.router_DE).softmax(-1)
    order_SE = p_SE.argsort(dim=-1, descending=True)
    best_SC = order_SE[:, :choices].tolist()
    y = [torch.zeros_like(x) for x in x_SD]
    seats = [0] * layer.config.experts
    for choice in range(choices):
        for t in range(min(real, len(y))):
            e = best_SC[t][choice]
            if seats[e] == room:
                continue
            seats[e] += 1
            weight = p_SE[t, e] / p_SE[t, best_SC[t]].sum() if choices > 1 else p_SE[t, e]
            y[t] = y[t] + weight * expert(e, x_SD[t])
    return y
