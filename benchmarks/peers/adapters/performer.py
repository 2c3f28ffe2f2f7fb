"""performer-pytorch: the mechanism. Its causal form runs without a CUDA kernel, as on any CPU,
and has no step for one token: it generates by running all tokens again.
"""

from collections.abc import Callable

from torch import nn

from benchmarks.peers.peer import WIDTH, Peer


def make(causal: bool) -> Callable[[int], nn.Module]:  # noqa: FBT001
    def made(_: int) -> nn.Module:
        from performer_pytorch import FastAttention  # noqa: PLC0415

        return FastAttention(WIDTH, nb_features=256, causal=causal)

    return made


PEERS = [
    Peer(
        package="performer-pytorch", make=make(causal), run=lambda m, x: m(*x), causal=causal,
        differs="adds 1e-4 to the features, which moves the output by tens of per cent",
    )
    for causal in (False, True)
]  # fmt: skip
