"""Kimi Delta Attention: the layer of Kimi Linear in transformers, and the rule of
flash-linear-attention, in chunks or for one token, in torch, with norm and gate.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from benchmarks.peers.adapters._fla import PACKAGE, by_token, matrix, naive, of_one_token
from benchmarks.peers.adapters._transformers import modeling, recurrent_steps, remembered
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Inputs, Peer, State, Steps

KEY_HEADS = 4


def make(_: int) -> nn.Module:
    theirs = modeling("kimi_linear")
    config = theirs.KimiLinearConfig(
        hidden_size=DIM, linear_num_heads=HEADS, linear_head_dim=WIDTH, rms_norm_eps=1e-5
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


def run_core(norm: Any, inputs: Inputs) -> Tensor:
    q, k, v, decay, beta, gate = by_token(inputs)
    q, k = normalize(q, dim=-1), normalize(k, dim=-1)
    y_BTHV = naive("kda").naive_chunk_kda(q, k, v, decay, beta)[0]
    return (norm(y_BTHV) * gate.sigmoid()).transpose(1, 2)


@torch.no_grad()
def copy_norm(ours: Any, theirs: Any) -> None:
    theirs.weight.copy_(ours.norm_V)


def steps(norm: Any, inputs: Inputs, state: State, _: range) -> Steps:
    q, k, v, decay, beta, gate = of_one_token(inputs)
    rule = naive("kda").naive_recurrent_kda

    def run() -> tuple[Tensor, State]:
        unit_q, unit_k = normalize(q, dim=-1), normalize(k, dim=-1)
        y_BxHV, *new = rule(
            unit_q, unit_k, v, decay, beta, initial_state=state[0], output_final_state=True
        )
        return norm(y_BxHV) * gate.sigmoid(), tuple(new)

    return run


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        copy=copy, state=remembered, steps={"": recurrent_steps},
    ),
    Peer(
        **PACKAGE, make=lambda _: nn.RMSNorm(WIDTH, eps=1e-5), run=run_core,
        options=(("key_heads", KEY_HEADS),), copy=copy_norm, raced=False, state=matrix,
        steps={"": steps},
    ),
]  # fmt: skip
