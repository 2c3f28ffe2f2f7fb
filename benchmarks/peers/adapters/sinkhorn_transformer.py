"""sinkhorn-transformer: the mechanism, with Sinkhorn balancing where it is not causal.

It has no step for one token: it generates by running all tokens again.
"""

from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, WIDTH, Inputs, Peer

BLOCK = 64


def make(seq: int) -> nn.Module:
    from sinkhorn_transformer.sinkhorn_transformer import SinkhornAttention  # noqa: PLC0415

    return SinkhornAttention(
        BLOCK, DIM, WIDTH, HEADS, seq, non_permutative=False, sinkhorn_iter=8,
        use_simple_sort_net=True,
    )  # fmt: skip


def make_causal(seq: int) -> nn.Module:
    from sinkhorn_transformer.sinkhorn_transformer import SinkhornCausalAttention  # noqa: PLC0415

    return SinkhornCausalAttention(
        BLOCK, DIM, WIDTH, HEADS, seq, use_simple_sort_net=True, n_top_buckets=1
    )


def run(module: nn.Module, qkv: Inputs) -> Tensor:
    out: Tensor = module(*qkv)
    return out


PEERS = [
    Peer(
        package="sinkhorn-transformer", make=make, run=run, options=(("block_size", BLOCK),),
        differs="its sorted values are the sorted keys, and it draws noise at every call",
    ),
    Peer(
        package="sinkhorn-transformer", make=make_causal, run=run, causal=True,
        options=(("block_size", BLOCK),),
        differs="picks one block by a softmax, without balancing, and rotates half of the heads",
    ),
]  # fmt: skip
