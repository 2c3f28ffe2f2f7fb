"""x-transformers: its attention with `num_mem_kv`, on torch's fused kernels as ours.

In decoding it joins the new key, the cached ones and the persistent vectors at every step.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, WIDTH, Inputs, Peer, State, Steps
from effattn_cli.parts.cache import Cache

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


def state(_: Any, ours: Cache) -> State:
    """Without the persistent vectors, which ours has in its cache."""
    tokens = slice(VECTORS, ours.length)
    return ours.k_BGRK[:, :, tokens], ours.v_BGRK[:, :, tokens]


def steps(theirs: nn.Module, inputs: Inputs, state: State, _: range) -> Steps:
    from x_transformers.attend import Intermediates  # noqa: PLC0415

    (x_BD,) = inputs
    x_BxD, cache = x_BD.unsqueeze(1), Intermediates(cached_kv=state)

    def run() -> tuple[Tensor, State]:
        out, after = theirs(x_BxD, cache=cache, return_intermediates=True)
        return out, after.cached_kv

    return run


PEERS = [
    Peer(
        package="x-transformers", make=make, run=run, scope="layer", copy=copy,
        options=(("vectors", VECTORS),), state=state, steps={"": steps},
    )
]  # fmt: skip
