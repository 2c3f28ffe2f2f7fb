"""Swin in transformers: attention within windows of 8 x 8, without the shift."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, Inputs, Peer
from effattn_cli.attention import Attention


def make(_: int) -> nn.Module:
    from transformers import SwinConfig  # noqa: PLC0415
    from transformers.models.swin.modeling_swin import SwinAttention  # noqa: PLC0415

    config = SwinConfig(attention_probs_dropout_prob=0.0, attn_implementation="sdpa")
    return SwinAttention(config, DIM, HEADS, window_size=8)


def run(module: Any, inputs: Inputs) -> Tensor:
    (x_BTD,) = inputs
    out: Tensor = module(x_BTD.view(-1, 64, DIM))[0]
    return out


def copy(ours: Attention, theirs: Any) -> None:
    nn.init.zeros_(ours.get_parameter("bias"))  # theirs is by distance in two dimensions
    for name, weight in theirs.named_parameters():
        if name.endswith(("bias", "bias_table")):
            nn.init.zeros_(weight)
    for name, linear in ours.projections.items():
        theirs_too = theirs.o_proj if name == "out" else getattr(theirs, f"{name}_proj")
        with torch.no_grad():
            theirs_too.weight.copy_(linear.get_parameter("weight"))


PEERS = [
    Peer(
        package="transformers", make=make, run=run, scope="layer",
        options=(("window", 64), ("shift", 0)), copy=copy,
    )
]  # fmt: skip
