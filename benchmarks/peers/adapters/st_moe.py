"""The package st-moe-pytorch: a whole sequence is a group, the second choice always made."""

from typing import Any

import torch
from torch import nn

from benchmarks.peers.peer import DIM, Peer

EVERY = 2**20  # tokens; more than a sequence has
HIDDEN = 1360


def make(_: int) -> nn.Module:
    from st_moe_pytorch import MoE  # noqa: PLC0415

    # Their experts have int(dim * expert_hidden_mult * 2 / 3) hidden units.
    # By default their dispatch gives the router a gradient besides, which is not in the paper.
    return MoE(
        dim=DIM, num_experts=16, expert_hidden_mult=1.5 * HIDDEN / DIM, threshold_eval=0.0,
        straight_through_dispatch_tensor=False,
    )  # fmt: skip


def copy(ours: Any, theirs: Any) -> None:
    theirs.gate.to_gates.weight.data = ours.router_DE.data.mT.contiguous()
    for e, expert in enumerate(theirs.experts.experts):
        up, act, down = expert.net
        up.weight.data = ours.experts.up_EDF.data[e].mT.contiguous()
        act.mult_bias.data = ours.experts.scale_EF.data[e]
        down.weight.data = ours.experts.down_EFD.data[e].mT.contiguous()
        for linear in (up, down):
            torch.nn.init.zeros_(linear.bias)


PEERS = [
    Peer(
        package="st-moe-pytorch", make=make, run=lambda m, x: m(*x)[0], scope="layer",
        options=(("group", EVERY),), copy=copy,
    )
]  # fmt: skip
