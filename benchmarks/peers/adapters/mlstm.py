"""The layer of xLSTM-7B in transformers, in chunks or for one token."""

from typing import Any

import torch
from torch import nn

from benchmarks.peers.adapters._transformers import modeling
from benchmarks.peers.peer import DIM, HEADS, Inputs, Peer, State, Steps
from effattn_cli.parts.stabilised import Memory


def make(_: int) -> nn.Module:
    theirs = modeling("xlstm")
    config = theirs.xLSTMConfig(
        hidden_size=DIM, num_heads=HEADS, mode="train", autocast_kernel_dtype="float32"
    )
    return theirs.xLSTMLayer(config)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    parts = {
        "q": theirs.q, "k": theirs.k, "v": theirs.v, "out": theirs.out_proj,
        "input_gate": theirs.igate_preact, "forget_gate": theirs.fgate_preact,
        "output_gate": theirs.ogate_preact,
    }  # fmt: skip
    for name, linear in parts.items():
        linear.load_state_dict(ours.projections[name].state_dict())
    theirs.multihead_norm.weight.copy_(ours.norm_E)


def state(_: Any, ours: Memory) -> State:
    """The matrix, the sum of keys, and the logarithm of what both are divided by."""
    matrix_BHVF, keys_BHF = ours.sum_BHEF[:, :, :-1], ours.sum_BHEF[:, :, -1]
    return matrix_BHVF.mT, keys_BHF, ours.top_BH.unsqueeze(2)


def steps(theirs: Any, inputs: Inputs, state: State, _: range) -> Steps:
    (x_BD,) = inputs
    x_BxD = x_BD.unsqueeze(1)
    theirs.config.mode = "inference"
    return lambda: theirs(x_BxD, state)


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x)[0], scope="layer", causal=True,
        copy=copy, state=state, steps={"": steps},
    )
]  # fmt: skip
