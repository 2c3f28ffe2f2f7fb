from typing import Any

import torch
from torch import Tensor


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    """A sequence at a time, on its real characters alone; each block and run cut out of it."""
    B, H, T, K = v_BHTK.shape
    run = layer.config.downsample
    outs = []
    for b in range(B):
        n = T if valid_BT is None else int(valid_BT[b].sum())
        y_TD = _blended(layer, torch.cat(list(v_BHTK[b, :, :n]), dim=1))
        runs_RD = torch.stack([part.mean(0) for part in torch.split(y_TD, run)])
        outs.append(torch.cat([runs_RD, y_TD.new_zeros(-(-T // run) - len(runs_RD), H * K)]))
    return torch.stack(outs).view(B, -1, H, K).transpose(1, 2)


def _blended(layer: Any, x_TD: Tensor) -> Tensor:
    w_D = layer.get_parameter("score.weight")[0]
    sizes = range(1, layer.config.block + 1)
    blocks = [[part.mean(0) for part in torch.split(x_TD, size)] for size in sizes]
    X_TMD = torch.stack(
        [
            torch.stack([blocks[m][t // size] for m, size in enumerate(sizes)])
            for t in range(len(x_TD))
        ]
    )
    P_TM = torch.exp(X_TMD @ w_D)
    P_TM = P_TM / P_TM.sum(1, keepdim=True)
    if layer.config.calibrate:
        agree_TT = torch.exp(P_TM @ P_TM.T)
        P_TM = agree_TT / agree_TT.sum(1, keepdim=True) @ P_TM
    return torch.einsum("tm,tmd->td", P_TM, X_TMD)
