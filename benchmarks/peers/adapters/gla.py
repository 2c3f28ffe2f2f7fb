"""flash-linear-attention: gated linear attention token by token, in torch, and norm and gate."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from benchmarks.peers.adapters._fla import PACKAGE, by_token, naive
from benchmarks.peers.peer import WIDTH, Inputs, Peer


def run(norm: Any, inputs: Inputs) -> Tensor:
    *inner, gate_BTHV = by_token(inputs)
    y_BTHV = naive("gla").naive_recurrent_gla(*inner)[0]
    return (norm(y_BTHV) * silu(gate_BTHV)).transpose(1, 2)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    theirs.weight.copy_(ours.norm_V)


PEERS = [
    Peer(
        **PACKAGE, make=lambda _: nn.RMSNorm(WIDTH, eps=1e-5), run=run, copy=copy, raced=False,
    )
]  # fmt: skip
