"""nystrom-attention, a whole layer; Nystromformer in transformers, without an output projection."""

from torch import nn

from benchmarks.peers.peer import DIM, HEADS, WIDTH, Peer

DIFFERS = "starts the pseudo-inverse from one norm for all matrices, the largest"


def lucidrains(_: int) -> nn.Module:
    from nystrom_attention import NystromAttention  # noqa: PLC0415

    return NystromAttention(
        DIM, dim_head=WIDTH, heads=HEADS, num_landmarks=64, residual_conv_kernel=33
    )


def huggingface(seq: int) -> nn.Module:
    from transformers import NystromformerConfig  # noqa: PLC0415
    from transformers.models.nystromformer.modeling_nystromformer import (  # noqa: PLC0415
        NystromformerSelfAttention,
    )

    config = NystromformerConfig(
        hidden_size=DIM, num_attention_heads=HEADS, num_landmarks=64, segment_means_seq_len=seq,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return NystromformerSelfAttention(config)


PEERS = [
    Peer(
        package="nystrom-attention", make=lucidrains, run=lambda m, x: m(*x), scope="layer",
        options=(("landmarks", 64), ("kernel", 33)), differs=DIFFERS,
    ),
    Peer(
        package="transformers", make=huggingface, run=lambda m, x: m(*x)[0], scope="layer",
        options=(("landmarks", 64), ("kernel", 65)), differs=DIFFERS,
    ),
]  # fmt: skip
