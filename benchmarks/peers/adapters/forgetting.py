"""flash-linear-attention: the Forgetting Transformer's definition in torch, all scores at once.

It has no step for one token: the one of its package is a Triton kernel.
"""

from torch import Tensor, nn

from benchmarks.peers.adapters._fla import PACKAGE, by_token, naive
from benchmarks.peers.peer import Inputs, Peer, nothing_to_copy


def run(_: nn.Module, inputs: Inputs) -> Tensor:
    return naive("forgetting_attn").naive_forgetting_attn(*by_token(inputs)).transpose(1, 2)


PEERS = [
    Peer(
        **PACKAGE, make=lambda _: nn.Identity(), run=run, options=(("kv_heads", 2),),
        copy=nothing_to_copy,
    )
]  # fmt: skip
