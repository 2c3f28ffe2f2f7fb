"""local-attention: blocks that look at the block before, which is 1-D local attention."""

from torch import nn

from benchmarks.peers.peer import Peer, nothing_to_copy


def make(_: int) -> nn.Module:
    from local_attention import LocalAttention  # noqa: PLC0415

    return LocalAttention(
        256, causal=True, look_backward=1, look_forward=0, autopad=True, use_rotary_pos_emb=False
    )


PEERS = [
    Peer(
        package="local-attention", make=make, run=lambda m, x: m(*x), causal=True,
        options=(("block", 256), ("memory", 256)), copy=nothing_to_copy,
    )
]  # fmt: skip
