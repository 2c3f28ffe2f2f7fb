"""flash-linear-attention: gated linear attention token by token, in torch, with keys of 1 - f."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters._fla import PACKAGE, by_token, naive
from benchmarks.peers.peer import DIM, WIDTH, Inputs, Peer


def run(norm: Any, inputs: Inputs) -> Tensor:
    q_BTHK, decay_BTHK, v_BTHV = by_token(inputs)
    k_BTHK = 1 - decay_BTHK.exp()
    y_BTHV = naive("gla").naive_recurrent_gla(q_BTHK * WIDTH**0.5, k_BTHK, v_BTHV, decay_BTHK)[0]
    return norm(y_BTHV.flatten(2)).view_as(y_BTHV).transpose(1, 2)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    theirs.weight.copy_(ours.norm_HV.flatten())


PEERS = [Peer(**PACKAGE, make=lambda _: nn.RMSNorm(DIM, eps=1e-5), run=run, copy=copy, raced=False)]
