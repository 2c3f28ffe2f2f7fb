"""The mixer of Mamba-2 in transformers, with two groups of heads."""

from typing import Any

import torch
from torch import nn

from benchmarks.peers.adapters._transformers import modeling, recurrent_steps, remembered
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Peer, State
from effattn_cli.parts.recurrent import Memory

GROUPS, STATE = 2, 128


def make(_: int) -> nn.Module:
    theirs = modeling("mamba2")
    config = theirs.Mamba2Config(
        hidden_size=DIM, num_heads=HEADS, head_dim=WIDTH, expand=1, state_size=STATE,
        n_groups=GROUPS,
    )  # fmt: skip
    return theirs.Mamba2Mixer(config, layer_idx=0)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    names = ("z", "x", "B", "C", "dt")
    theirs.in_proj.weight.copy_(torch.cat([ours.projections[name].weight for name in names]))
    theirs.out_proj.weight.copy_(ours.projections["out"].weight)
    theirs.conv1d.weight.copy_(ours.conv.weight_EL.unsqueeze(1))
    theirs.conv1d.bias.copy_(ours.conv.bias_E)
    theirs.A_log.copy_(ours.log_rate_H)
    theirs.D.copy_(ours.direct_H)
    theirs.dt_bias.copy_(ours.bias_H)
    theirs.norm.weight.copy_(ours.norm_HP.flatten())


def state(theirs: Any, ours: Memory) -> State:
    """Theirs has the channels of x before those of B."""
    recent_BES, matrix_BHNP = remembered(theirs, ours)
    return recent_BES, matrix_BHNP.mT


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(("groups", GROUPS), ("state", STATE)), copy=copy, state=state,
        steps={"": recurrent_steps},
    )
]  # fmt: skip
