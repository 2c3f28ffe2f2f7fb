"""flash-linear-attention: retention as one product, and one decay a head in chunks, in torch.

Norm and gate come after it.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, silu

from benchmarks.peers.adapters._fla import PACKAGE, by_token, naive
from benchmarks.peers.peer import HEADS, Inputs, Peer, nothing_to_copy


def run_product(_: nn.Module, inputs: Inputs) -> Tensor:
    q, k, v, gate = inputs
    return finished(naive("retention").naive_retention(q, k, v), gate)


def run_chunks(_: nn.Module, inputs: Inputs) -> Tensor:
    q, k, v, gate = by_token(inputs)
    decay_H = torch.log1p(-(2.0 ** (-5 - torch.arange(HEADS))))
    decay_BTH = decay_H.expand(*q.shape[:2], -1)
    y_BTHV = naive("simple_gla").naive_chunk_simple_gla(q, k, v, decay_BTH)[0]
    return finished(y_BTHV, gate).transpose(1, 2)


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
]  # fmt: skip
