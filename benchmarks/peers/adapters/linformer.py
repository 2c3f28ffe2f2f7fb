"""The package linformer: a whole layer."""

from typing import Any

from torch import nn

from benchmarks.peers.peer import DIM, HEADS, Peer
from effattn_cli.attention import Attention


def make(seq: int) -> nn.Module:
    from linformer import LinformerSelfAttention  # noqa: PLC0415

    return LinformerSelfAttention(DIM, seq_len=seq, k=256, heads=HEADS)


def copy(ours: Attention, theirs: Any) -> None:
    for name, linear in (("q", theirs.to_q), ("k", theirs.to_k), ("v", theirs.to_v)):
        linear.weight.data = ours.projections[name].get_parameter("weight").data
    theirs.proj_k.data, theirs.proj_v.data = (
        ours.get_parameter(name).data for name in ("mix_k", "mix_v")
    )
    theirs.to_out.weight.data = ours.projections["out"].get_parameter("weight").data
    nn.init.zeros_(theirs.to_out.bias)


PEERS = [
    Peer(
        package="linformer", make=make, run=lambda m, x: m(*x), scope="layer",
        options=(("rank", 256),), copy=copy,
    )
]  # fmt: skip
