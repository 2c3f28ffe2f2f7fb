"""The short convolution of LFM2 in transformers."""

from typing import Any

import torch
from torch import nn

from benchmarks.peers.adapters._transformers import modeling, recurrent_steps
from benchmarks.peers.peer import DIM, Peer

TAPS = 3


def make(_: int) -> nn.Module:
    theirs = modeling("lfm2")
    config = theirs.Lfm2Config(
        hidden_size=DIM, conv_L_cache=TAPS, num_hidden_layers=1, layer_types=["conv"]
    )
    return theirs.Lfm2ShortConv(config, layer_idx=0)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    theirs.in_proj.weight.copy_(torch.cat([ours.projections[name].weight for name in "BCx"]))
    theirs.conv.weight.copy_(ours.conv.weight_EL.unsqueeze(1))
    theirs.out_proj.weight.copy_(ours.projections["out"].weight)


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(("taps", TAPS),), copy=copy, state=lambda _, ours: (ours.recent_BSE.mT,),
        steps={"": recurrent_steps},
    )
]  # fmt: skip
