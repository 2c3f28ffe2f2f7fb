"""flash-linear-attention: the delta rule in chunks or for one token, in torch, and the norm."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from benchmarks.peers.adapters._fla import PACKAGE, matrix, naive
from benchmarks.peers.peer import WIDTH, Inputs, Peer, State, Steps


def run(norm: Any, inputs: Inputs) -> Tensor:
    q, k, v, beta = inputs
    q, k = normalize(q, dim=-1), normalize(k, dim=-1)
    return norm(naive("delta_rule").delta_rule_chunkwise(q, k, v, beta)[0])


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    theirs.weight.copy_(ours.norm_V)


def steps(norm: Any, inputs: Inputs, state: State, _: range) -> Steps:
    q, k, v, beta = (x.unsqueeze(2) for x in inputs)
    rule = naive("delta_rule").delta_rule_recurrence

    def run() -> tuple[Tensor, State]:
        y_BHxV, *new = rule(normalize(q, dim=-1), normalize(k, dim=-1), v, beta, *state)
        return norm(y_BHxV), tuple(new)

    return run


PEERS = [
    Peer(
        **PACKAGE, make=lambda _: nn.RMSNorm(WIDTH, eps=1e-5), run=run, copy=copy, state=matrix,
        steps={"": steps},
    )
]  # fmt: skip
