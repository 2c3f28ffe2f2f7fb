"""What adapters of transformers share."""

import sys
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

#: Packages of kernels that it takes in place of its own torch code, also where there is no GPU.
KERNELS = ("fla", "mamba_ssm", "causal_conv1d")


def modeling(model: str) -> Any:
    """The module of a model's layers and config, which finds no package of kernels."""
    modules: dict[str, Any] = sys.modules
    kept = {name: modules[name] for name in KERNELS if name in modules}
    modules.update(dict.fromkeys(KERNELS))  # which makes an import of them fail
    try:
        return import_module(f"transformers.models.{model}.modeling_{model}")
    finally:
        for name in KERNELS:
            del modules[name]
        modules.update(kept)


class Placed(nn.Module):
    """An attention, with what its model makes once for all layers: rotary positions, and a mask."""

    places: Any

    def __init__(self, inner: Any, rotary: Any, tokens: int, mask: Tensor | None = None) -> None:
        super().__init__()
        self.inner, self.mask = inner, mask
        self.places = rotary(torch.empty(0), torch.arange(tokens)[None])

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.inner(x_BTD, position_embeddings=self.places, attention_mask=self.mask)[0]


@torch.no_grad()
def copy_projections(ours: Any, inner: Any) -> None:
    for name, other in (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj"), ("out", "o_proj")):
        getattr(inner, other).weight.copy_(ours.projections[name].weight)
