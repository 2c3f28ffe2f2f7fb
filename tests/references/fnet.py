import math

import torch
from torch import Tensor

from effattn_cli.attention import Attention


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """sum over s and e of cos(2 pi (t s / T + d e / D)) x(s, e), by matrices of all angles."""
    B, H, T, K = v_BHTK.shape
    x_BTD = v_BHTK.transpose(1, 2).reshape(B, T, H * K)

    def angles(n: int) -> Tensor:
        steps_NN = torch.arange(n)[:, None] * torch.arange(n)[None, :] % n
        return 2 * math.pi * steps_NN.double() / n

    t_TT, d_DD = angles(T), angles(H * K)
    out_BTD = t_TT.cos() @ x_BTD @ d_DD.cos() - t_TT.sin() @ x_BTD @ d_DD.sin()
    return out_BTD.view(B, T, H, K).transpose(1, 2)
