"""x-transformers: its attention with `num_mem_kv`, on torch's fused kernels as ours."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, WIDTH, Inputs, Peer

VECTORS = 1024


def make(_: int) -> nn.Module:
    from x_transformers.x_transformers import Attention  # noqa: PLC0415

    return Attention(DIM, dim_head=WIDTH, heads=HEADS, num_mem_kv=VECTORS, flash=True)


def run(module: nn.Module, inputs: Inputs) -> Tensor:
    out: Tensor = module(*inputs)[0]
    return out


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    for name, linear in ours.projections.items():
        getattr(theirs, f"to_{name}").weight.copy_(linear.weight)
    theirs.mem_k.copy_(ours.k_HMK)
    theirs.mem_v.copy_(ours.v_HMK)


PEERS = [
    Peer(
        package="x-transformers", make=make, run=run, scope="layer", copy=copy,
        options=(("vectors", VECTORS),),
    )
]  # fmt: skip
