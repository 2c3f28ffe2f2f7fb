from typing import Any

import torch
from torch import Tensor

from tests.references.gated_deltanet import heads
from tests.references.gla import fading_sums


def reference(
    layer: Any, q_BHTK: Tensor, decay_BHTK: Tensor, v_BHTV: Tensor, valid_BT: Tensor | None
) -> Tensor:
    y_BHTV = fading_sums(q_BHTK, 1 - torch.exp(decay_BHTK), v_BHTV, decay_BHTK)
    side_BTE = torch.cat(y_BHTV.unbind(1), dim=-1)
    side_BTE = side_BTE / torch.sqrt(side_BTE.square().mean(-1, keepdim=True) + 1e-5)
    return heads(side_BTE, layer.heads) * layer.norm_HV[:, None]


def whole(layer: Any, x_BTD: Tensor) -> Tensor:
    q, f, v = (
        heads(x_BTD @ layer.projections[name].weight.T, layer.heads) for name in ("q", "decay", "v")
    )
    bound = layer.config.bound
    f = bound + (1 - bound) * torch.sigmoid(f)
    y_BHTV = reference(layer, q * torch.sigmoid(q), torch.log(f), v, None)
    return torch.cat(y_BHTV.unbind(1), dim=-1) @ layer.projections["out"].weight.T
