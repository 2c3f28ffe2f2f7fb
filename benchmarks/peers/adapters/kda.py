"""Kimi Delta Attention of Kimi Linear in transformers: the layer, on its chunked rule."""

from typing import Any

import torch
from torch import nn

from benchmarks.peers.adapters._transformers import modeling
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Peer


def make(_: int) -> nn.Module:
    theirs = modeling("kimi_linear")
    config = theirs.KimiLinearConfig(
        hidden_size=DIM, linear_num_heads=HEADS, linear_head_dim=WIDTH, rms_norm_eps=1e-6
    )
    module = theirs.KimiLinearDeltaAttention(config, layer_idx=0)
    nn.init.zeros_(module.forget_gate.dt_bias)  # which has no values yet, nor has A
    nn.init.zeros_(module.forget_gate.A_log)
    return module


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    parts, forget = ours.projections, theirs.forget_gate
    pairs = [
        (theirs.q_proj, parts["q"]), (theirs.k_proj, parts["k"]), (theirs.v_proj, parts["v"]),
        (theirs.b_proj, parts["beta"]), (theirs.o_proj, parts["out"]),
        (forget.f_a_proj, parts["decay"][0]), (forget.f_b_proj, parts["decay"][1]),
        (theirs.g_a_proj, parts["gate"][0]), (theirs.g_b_proj, parts["gate"][1]),
    ]  # fmt: skip
    for other, mine in pairs:
        other.weight.copy_(mine.weight)
    theirs.conv1d.weight.copy_(ours.conv.weight_EL.unsqueeze(1))
    forget.dt_bias.copy_(ours.decay.bias.flatten())
    forget.A_log.copy_(ours.decay.log_rate_H.view_as(forget.A_log))
    theirs.o_norm.weight.copy_(ours.norm_V)


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        copy=copy,
    )
]  # fmt: skip
