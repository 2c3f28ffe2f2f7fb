"""flash-linear-attention: the delta rule in chunks, in torch, and the norm after it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from benchmarks.peers.adapters._fla import PACKAGE, naive
from benchmarks.peers.peer import WIDTH, Inputs, Peer


def run(norm: Any, inputs: Inputs) -> Tensor:
    q, k, v, beta = inputs
    q, k = normalize(q, dim=-1), normalize(k, dim=-1)
    return norm(naive("delta_rule").delta_rule_chunkwise(q, k, v, beta)[0])


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    theirs.weight.copy_(ours.norm_V)


PEERS = [Peer(**PACKAGE, make=lambda _: nn.RMSNorm(WIDTH, eps=1e-5), run=run, copy=copy)]
