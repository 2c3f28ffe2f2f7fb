"""local-attention: blocks that look at the block before, which is 1-D local attention.

Its step forgets the block before when it comes to a block's last token, of which the output is
therefore another; one step in 256 is so.
"""

from typing import Any

from torch import nn

from benchmarks.peers.adapters import _local_attention
from benchmarks.peers.peer import Peer, State, nothing_to_copy
from effattn_cli.parts.cache import Cache

BLOCK = 256


def make(_: int) -> nn.Module:
    from local_attention import LocalAttention  # noqa: PLC0415

    return LocalAttention(
        BLOCK, causal=True, look_backward=1, look_forward=0, autopad=True, use_rotary_pos_emb=False
    )


def state(_: Any, ours: Cache) -> State:
    """The block before, and the block so far."""
    end = BLOCK + ours.length % BLOCK
    first = max(0, end - ours.length)
    return ours.k_BGRK[:, :, first:end], ours.v_BGRK[:, :, first:end]


PEERS = [
    Peer(
        package="local-attention", make=make, run=lambda m, x: m(*x), causal=True,
        options=(("block", BLOCK), ("memory", BLOCK)), copy=nothing_to_copy, state=state,
        steps={"": _local_attention.steps},
    )
]  # fmt: skip
