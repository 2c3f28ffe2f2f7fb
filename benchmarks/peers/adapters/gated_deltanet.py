"""Gated DeltaNet of Qwen3-Next in transformers: the layer, and its rule, chunked or
for one token, with the norm.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters._transformers import modeling, recurrent_steps, remembered
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Inputs, Peer, State, Steps
from effattn_cli.parts.recurrent import Memory

KEY_HEADS = 4


def make(_: int) -> nn.Module:
    theirs = modeling("qwen3_next")
    config = theirs.Qwen3NextConfig(
        hidden_size=DIM, linear_num_value_heads=HEADS, linear_num_key_heads=KEY_HEADS,
        linear_key_head_dim=WIDTH, linear_value_head_dim=WIDTH,
    )  # fmt: skip
    return theirs.Qwen3NextGatedDeltaNet(config, layer_idx=0)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    """Theirs has the rows of a key head, and of the values that share it, side by side."""

    def rows(*names: str) -> Tensor:
        parts = (ours.projections[name].weight for name in names)
        return torch.cat([part.unflatten(0, (KEY_HEADS, -1)) for part in parts], 1).flatten(0, 1)

    theirs.in_proj_qkvz.weight.copy_(rows("q", "k", "v", "gate"))
    theirs.in_proj_ba.weight.copy_(rows("beta", "decay"))
    theirs.conv1d.weight.copy_(ours.conv.weight_EL.unsqueeze(1))
    theirs.A_log.copy_(ours.decay.log_rate_H)
    theirs.dt_bias.copy_(ours.decay.bias)
    theirs.norm.weight.copy_(ours.norm_V)
    theirs.out_proj.weight.copy_(ours.projections["out"].weight)


def make_norm(_: int) -> nn.Module:
    return modeling("qwen3_next").Qwen3NextRMSNormGated(WIDTH)


def run_core(norm: Any, inputs: Inputs) -> Tensor:
    q, k, v, decay, beta, gate = (x.transpose(1, 2) for x in inputs)
    y_BTHV = modeling("qwen3_next").torch_chunk_gated_delta_rule(
        q, k, v, g=decay, beta=beta, use_qk_l2norm_in_kernel=True
    )[0]
    return norm(y_BTHV, gate).transpose(1, 2)


@torch.no_grad()
def copy_norm(ours: Any, theirs: Any) -> None:
    theirs.weight.copy_(ours.norm_V)


def state(_: Any, ours: Memory) -> State:
    return (ours.matrix_BHKV,)


def steps(norm: Any, inputs: Inputs, state: State, _: range) -> Steps:
    q, k, v, decay, beta, gate = (x.unsqueeze(1) for x in inputs)
    rule = modeling("qwen3_next").torch_recurrent_gated_delta_rule

    def run() -> tuple[Tensor, State]:
        y_BxHV, matrix_BHKV = rule(
            q, k, v, g=decay, beta=beta, initial_state=state[0], output_final_state=True,
            use_qk_l2norm_in_kernel=True,
        )  # fmt: skip
        return norm(y_BxHV, gate), (matrix_BHKV,)

    return run


PEERS = [
    Peer(
        package="transformers", which="layer", make=make, run=lambda m, x: m(*x), scope="layer",
        causal=True, options=(("key_heads", KEY_HEADS),), copy=copy, state=remembered,
        steps={"": recurrent_steps},
    ),
    Peer(
        package="transformers", which="core", make=make_norm, run=run_core, causal=True,
        options=(("key_heads", KEY_HEADS),), copy=copy_norm, state=state, steps={"": steps},
    ),
]  # fmt: skip
