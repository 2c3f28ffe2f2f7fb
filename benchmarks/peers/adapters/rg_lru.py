"""The recurrent block of RecurrentGemma in transformers, whose scan goes token by token."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters._transformers import modeling, remembered
from benchmarks.peers.peer import DIM, HEADS, Inputs, Peer, State, Steps
from effattn_cli.parts.recurrent import Memory


def make(_: int) -> nn.Module:
    theirs = modeling("recurrent_gemma")
    config = theirs.RecurrentGemmaConfig(
        hidden_size=DIM, lru_width=DIM, num_attention_heads=HEADS, num_key_value_heads=HEADS
    )
    return theirs.RecurrentGemmaRecurrentBlock(config, layer_idx=0)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    """Theirs adds biases to its projections, which are made zero."""
    for name, other in (("x", "linear_x"), ("branch", "linear_y"), ("out", "linear_out")):
        linear = getattr(theirs, other)
        linear.weight.copy_(ours.projections[name].weight)
        linear.bias.zero_()
    theirs.conv_1d.weight.copy_(ours.conv.weight_EL.unsqueeze(1))
    theirs.conv_1d.bias.copy_(ours.conv.bias_E)
    lru = theirs.rg_lru
    lru.recurrent_param.copy_(ours.rate_HK.flatten())
    for gate, weight_HKK, bias_HxK in zip(
        ("recurrent", "input"), ours.gates_HKE.chunk(2, -1), ours.bias_HxE.chunk(2, -1), strict=True
    ):
        getattr(lru, f"{gate}_gate_weight").copy_(weight_HKK)
        getattr(lru, f"{gate}_gate_bias").copy_(bias_HxK.squeeze(1))


def run(theirs: Any, inputs: Inputs) -> Tensor:
    (x_BTD,) = inputs
    positions_BT = torch.arange(x_BTD.shape[1])[None]
    out: Tensor = theirs(x_BTD, positions_BT, None, use_cache=False)[0]
    return out


def state(theirs: Any, ours: Memory) -> State:
    recent_BES, matrix_BHxK = remembered(theirs, ours)
    return recent_BES, matrix_BHxK.flatten(1)


def steps(theirs: Any, inputs: Inputs, state: State, contexts: range) -> Steps:
    (x_BD,) = inputs
    x_BxD, positions_BT = x_BD.unsqueeze(1), torch.tensor([[contexts.start]])

    def run() -> tuple[Tensor, State]:
        theirs.conv1d_state, theirs.rg_lru.recurrent_states = state
        out = theirs(x_BxD, positions_BT, None)[0]
        return out, (theirs.conv1d_state, theirs.rg_lru.recurrent_states)

    return run


PEERS = [
    Peer(
        package="transformers", make=make, run=run, scope="layer", causal=True,
        options=(("whole_first", True),), copy=copy, state=state, steps={"": steps},
    )
]  # fmt: skip
