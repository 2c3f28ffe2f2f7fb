"""FNet in transformers: the transform, which is the whole layer."""

from torch import nn

from benchmarks.peers.peer import DIM, Peer, nothing_to_copy


def make(_: int) -> nn.Module:
    from transformers import FNetConfig  # noqa: PLC0415
    from transformers.models.fnet.modeling_fnet import FNetBasicFourierTransform  # noqa: PLC0415

    return FNetBasicFourierTransform(FNetConfig(hidden_size=DIM))


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x)[0], scope="layer",
        copy=nothing_to_copy,
    )
]  # fmt: skip
