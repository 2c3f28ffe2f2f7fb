"""What adapters of transformers share."""

from typing import Any

import torch
from torch import Tensor, nn


class Placed(nn.Module):
    """An attention, with what its model makes once for all layers: rotary positions, and a mask."""

    places: tuple[Tensor, Tensor]

    def __init__(self, inner: Any, rotary: Any, tokens: int, mask: Tensor | None = None) -> None:
        super().__init__()
        self.inner, self.mask = inner, mask
        self.places = rotary(torch.empty(0), torch.arange(tokens)[None])

    def forward(self, x_BTD: Tensor) -> Tensor:
        out: Tensor = self.inner(x_BTD, self.places, self.mask)[0]
        return out


@torch.no_grad()
def copy_projections(ours: Any, inner: Any) -> None:
    for name, other in (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj"), ("out", "o_proj")):
        getattr(inner, other).weight.copy_(ours.projections[name].weight)
