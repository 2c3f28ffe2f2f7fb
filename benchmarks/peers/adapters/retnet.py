"""flash-linear-attention: retention as one product, and one decay a head in chunks or token by
token, in torch. The one product has no step.

Norm and gate come after it.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, silu

from benchmarks.peers.adapters._fla import PACKAGE, by_token, naive, of_one_token
from benchmarks.peers.peer import HEADS, WIDTH, Inputs, Peer, State, Steps, nothing_to_copy
from effattn_cli.parts.recurrent import Memory


def run_product(_: nn.Module, inputs: Inputs) -> Tensor:
    q, k, v, gate = inputs
    return finished(naive("retention").naive_retention(q, k, v), gate)


def run_chunks(_: nn.Module, inputs: Inputs) -> Tensor:
    q, k, v, gate = by_token(inputs)
    y_BTHV = naive("simple_gla").naive_chunk_simple_gla(q, k, v, decay(q))[0]
    return finished(y_BTHV, gate).transpose(1, 2)


def run_tokens(_: nn.Module, inputs: Inputs) -> Tensor:
    q, k, v, gate = by_token(inputs)
    y_BTHV = naive("simple_gla").naive_recurrent_simple_gla(q, k, v, decay(q))[0]
    return finished(y_BTHV, gate).transpose(1, 2)


def steps(_: nn.Module, inputs: Inputs, state: State, __: range) -> Steps:
    q, k, v, gate = of_one_token(inputs)
    decay_BxH, rule = decay(q), naive("simple_gla").naive_recurrent_simple_gla

    def run() -> tuple[Tensor, State]:
        y_BxHV, *new = rule(q, k, v, decay_BxH, initial_state=state[0])
        return finished(y_BxHV, gate), tuple(new)

    return run


def state(_: Any, ours: Memory) -> State:
    """Theirs has the queries divided by the root of the width, ours the keys."""
    return (ours.matrix_BHKV * WIDTH**0.5,)


def decay(q_BTHK: Tensor) -> Tensor:
    decay_H = torch.log1p(-(2.0 ** (-5 - torch.arange(HEADS))))
    return decay_H.expand(*q_BTHK.shape[:2], -1)


def finished(y: Tensor, gate: Tensor) -> Tensor:
    return rms_norm(y, y.shape[-1:], eps=1e-6) * silu(gate)


PEERS = [
    Peer(
        **PACKAGE, which="as one product", make=lambda _: nn.Identity(), run=run_product,
        copy=nothing_to_copy, raced=False,
    ),
    Peer(
        **PACKAGE, which="in chunks", make=lambda _: nn.Identity(), run=run_chunks,
        copy=nothing_to_copy,
    ),
    Peer(
        **PACKAGE, which="token by token", make=lambda _: nn.Identity(), run=run_tokens,
        copy=nothing_to_copy, raced=False, state=state, steps={"": steps},
    ),
]  # fmt: skip
