import math
from typing import Any

import torch
from torch import Tensor

from tests.references.mixture import mixture


def reference(layer: Any, x_BTD: Tensor, valid_BT: Tensor | None) -> Tensor:
    weights = (layer.experts.up_EDF, layer.experts.scale_EF, layer.experts.down_EFD)
    up, scale, down = (weight.unbind() for weight in weights)

    def expert(e: int, x_D: Tensor) -> Tensor:
        linear_F, gate_F = (x_D @ up[e]).chunk(2)
        gelu_F = gate_F * (1 + torch.erf(gate_F / math.sqrt(2))) / 2
        return (gelu_F * linear_F * scale[e]) @ down[e]

    group = layer.config.group
    return mixture(layer, x_BTD, valid_BT, choices=2, group=group, expert=expert)
