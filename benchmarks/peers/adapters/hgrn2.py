"""flash-linear-attention: gated linear attention token by token, in torch, with keys of 1 - f."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters._fla import PACKAGE, by_token, matrix, naive, of_one_token
from benchmarks.peers.peer import DIM, WIDTH, Inputs, Peer, State, Steps


def run(norm: Any, inputs: Inputs) -> Tensor:
    q_BTHK, decay_BTHK, v_BTHV = by_token(inputs)
    k_BTHK = 1 - decay_BTHK.exp()
    y_BTHV = naive("gla").naive_recurrent_gla(q_BTHK * WIDTH**0.5, k_BTHK, v_BTHV, decay_BTHK)[0]
    return norm(y_BTHV.flatten(2)).view_as(y_BTHV).transpose(1, 2)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    theirs.weight.copy_(ours.norm_HV.flatten())


def steps(norm: Any, inputs: Inputs, state: State, _: range) -> Steps:
    q_BxHK, decay_BxHK, v_BxHV = of_one_token(inputs)
    scaled_BxHK, rule = q_BxHK * WIDTH**0.5, naive("gla").naive_recurrent_gla

    def run() -> tuple[Tensor, State]:
        y_BxHV, *new = rule(
            scaled_BxHK, 1 - decay_BxHK.exp(), v_BxHV, decay_BxHK, initial_state=state[0],
            output_final_state=True,
        )  # fmt: skip
        return norm(y_BxHV.flatten(2)), tuple(new)

    return run


PEERS = [
    Peer(
        **PACKAGE, make=lambda _: nn.RMSNorm(DIM, eps=1e-5), run=run, copy=copy, raced=False,
        state=matrix, steps={"": steps},
    )
]  # fmt: skip
