from typing import Any

from torch import Tensor

from tests.references.mixture import Expert, mixture


def reference(layer: Any, x_BTD: Tensor, valid_BT: Tensor | None) -> Tensor:
    group = layer.config.group
    return mixture(layer, x_BTD, valid_BT, choices=2, group=group, expert=relu_expert(layer))


def relu_expert(layer: Any) -> Expert:
    up, down = layer.experts.up_EDF.unbind(), layer.experts.down_EFD.unbind()
    return lambda e, x_D: (x_D @ up[e]).clamp(min=0) @ down[e]
