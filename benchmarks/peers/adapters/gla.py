"""flash-linear-attention: gated linear attention token by token, in torch, and norm and gate."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from benchmarks.peers.adapters._fla import PACKAGE, by_token, matrix, naive, of_one_token
from benchmarks.peers.peer import WIDTH, Inputs, Peer, State, Steps


def run(norm: Any, inputs: Inputs) -> Tensor:
    *inner, gate_BTHV = by_token(inputs)
    y_BTHV = naive("gla").naive_recurrent_gla(*inner)[0]
    return (norm(y_BTHV) * silu(gate_BTHV)).transpose(1, 2)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    theirs.weight.copy_(ours.norm_V)


def steps(norm: Any, inputs: Inputs, state: State, _: range) -> Steps:
    *inner, gate_BxHV = of_one_token(inputs)
    rule = naive("gla").naive_recurrent_gla

    def run() -> tuple[Tensor, State]:
        y_BxHV, *new = rule(*inner, initial_state=state[0], output_final_state=True)
        return norm(y_BxHV) * silu(gate_BxHV), tuple(new)

    return run


PEERS = [
    Peer(
        **PACKAGE, make=lambda _: nn.RMSNorm(WIDTH, eps=1e-5), run=run, copy=copy, raced=False,
        state=matrix, steps={"": steps},
    )
]  # fmt: skip
