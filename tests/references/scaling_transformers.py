"""Every block of every token looked at by itself."""

from typing import Any

import torch
from torch import Tensor


def reference(layer: Any, x_BTD: Tensor, _: Tensor | None) -> Tensor:
    units = layer.config.block
    x_ND = x_BTD.flatten(0, 1)
    control_NF = x_ND @ (layer.narrow_DR @ layer.wide_RF) + layer.bias_F
    hidden_NF = (x_ND @ layer.up_FD.mT).clamp(min=0)
    mask_NF = torch.zeros_like(hidden_NF)
    for n, row in enumerate(control_NF.detach()):
        for begin in range(0, len(row), units):
            mask_NF[n, begin + int(row[begin : begin + units].argmax())] = 1
    return ((hidden_NF * mask_NF) @ layer.down_FD).view_as(x_BTD)
