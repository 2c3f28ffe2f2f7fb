"""reformer-pytorch: the mechanism.

It has no step for one token: it generates by running all tokens again.
"""

from collections.abc import Callable

from torch import Tensor, nn

from benchmarks.peers.peer import Inputs, Peer


def make(causal: bool) -> Callable[[int], nn.Module]:  # noqa: FBT001
    def made(_: int) -> nn.Module:
        from reformer_pytorch import LSHAttention  # noqa: PLC0415

        return LSHAttention(bucket_size=64, n_hashes=4, causal=causal, dropout=0.0)

    return made


def run(module: nn.Module, qkv: Inputs) -> Tensor:
    q_PTK, v_PTK = (x.reshape(-1, *x.shape[2:]) for x in (qkv[0], qkv[2]))
    out: Tensor = module(q_PTK, v_PTK)[0]
    return out


PEERS = [
    Peer(
        package="reformer-pytorch", make=make(causal), run=run, causal=causal,
        options=(("bucket_size", 64), ("hashes", 4)),
        differs="draws new hashes at every call",
    )
    for causal in (False, True)
]  # fmt: skip
