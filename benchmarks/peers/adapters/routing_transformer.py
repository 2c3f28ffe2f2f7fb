"""routing-transformer: the mechanism. Its queries and keys come normalised, as ours get them.

It has no step for one token: it generates by running all tokens again.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from benchmarks.peers.peer import HEADS, WIDTH, Inputs, Peer
from effattn_cli.attention import Attention
from effattn_cli.parts.blocks import near_root


def make(causal: bool) -> Callable[[int], nn.Module]:  # noqa: FBT001
    def made(seq: int) -> nn.Module:
        from routing_transformer.routing_transformer import KmeansAttention  # noqa: PLC0415

        clusters = -(-seq // near_root(seq))  # our default
        return KmeansAttention(clusters, -(-seq // clusters), HEADS, WIDTH, causal=causal)

    return made


def run(module: nn.Module, qkv: Inputs) -> Tensor:
    out: Tensor = module(*qkv)[0]
    return out


def run_normalised(module: nn.Module, qkv: Inputs) -> Tensor:
    q, k, v = qkv
    return run(module, (layer_norm(q, (WIDTH,)), layer_norm(k, (WIDTH,)), v))


def copy(ours: Attention, theirs: Any) -> None:
    theirs.kmeans.means.copy_(ours.get_buffer("centre_HCK"))
    theirs.kmeans.initted.copy_(torch.tensor(True))  # noqa: FBT003


PEERS = [
    Peer(
        package="routing-transformer", make=make(causal=False), run=run_normalised,
        options=(("share_qk", False),), copy=copy,
    ),
    Peer(
        package="routing-transformer", make=make(causal=True), run=run, causal=True,
        options=(("share_qk", False),), differs="gives every cluster a learned key and value",
    ),
]  # fmt: skip
