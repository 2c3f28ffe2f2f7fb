"""The mixer of Mamba in transformers, whose scan in torch goes token by token."""

from typing import Any

import torch
from torch import nn

from benchmarks.peers.adapters._transformers import modeling, recurrent_steps, remembered
from benchmarks.peers.peer import DIM, Peer, State
from effattn_cli.parts.recurrent import Memory


def make(_: int) -> nn.Module:
    theirs = modeling("mamba")
    return theirs.MambaMixer(theirs.MambaConfig(hidden_size=DIM, expand=1), layer_idx=0)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    parts = ours.projections
    theirs.in_proj.weight.copy_(torch.cat([parts[name].weight for name in "xz"]))
    theirs.conv1d.weight.copy_(ours.conv.weight_EL.unsqueeze(1))
    theirs.conv1d.bias.copy_(ours.conv.bias_E)
    theirs.x_proj.weight.copy_(parts["select"].weight)
    theirs.dt_proj.weight.copy_(parts["dt"].weight)
    theirs.dt_proj.bias.copy_(parts["dt"].bias)
    theirs.A_log.copy_(ours.log_rate_ND.mT)
    theirs.D.copy_(ours.direct_D)
    theirs.out_proj.weight.copy_(parts["out"].weight)


def state(theirs: Any, ours: Memory) -> State:
    """Theirs has the channels before the numbers of a channel's state."""
    recent_BES, matrix_BxND = remembered(theirs, ours)
    return recent_BES, matrix_BxND.squeeze(1).mT


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        copy=copy, state=state, steps={"": recurrent_steps},
    )
]  # fmt: skip
