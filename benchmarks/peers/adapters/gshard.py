"""The package mixture-of-experts: a whole sequence is a group, the second choice always made."""

from typing import Any

from torch import nn

from benchmarks.peers.peer import DIM, Peer

EVERY = 2**20  # tokens; more than a sequence has


def make(_: int) -> nn.Module:
    from mixture_of_experts import MoE  # noqa: PLC0415

    return MoE(dim=DIM, num_experts=16, second_policy_eval="all")


def copy(ours: Any, theirs: Any) -> None:
    theirs.gate.w_gating.data = ours.router_DE.data
    theirs.experts.w1.data = ours.experts.up_EDF.data
    theirs.experts.w2.data = ours.experts.down_EFD.data


PEERS = [
    Peer(
        package="mixture-of-experts", make=make, run=lambda m, x: m(*x)[0], scope="layer",
        options=(("group", EVERY),), copy=copy,
    )
]  # fmt: skip
