"""Lightning Attention of MiniMax in transformers: the second of three layers."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters._transformers import modeling
from benchmarks.peers.peer import DIM, HEADS, Inputs, Peer, State, Steps

LAYER, LAYERS = 1, 3


def make(_: int) -> nn.Module:
    theirs = modeling("minimax")
    config = theirs.MiniMaxConfig(
        hidden_size=DIM, num_attention_heads=HEADS, num_hidden_layers=LAYERS
    )
    return theirs.MiniMaxLightningAttention(config, layer_idx=LAYER)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    """Theirs has a head's query, key and value side by side."""
    parts = ours.projections
    heads = [parts[name].weight.unflatten(0, (HEADS, -1)) for name in "qkv"]
    theirs.qkv_proj.weight.copy_(torch.cat(heads, dim=1).flatten(0, 1))
    theirs.output_gate.weight.copy_(parts["gate"].weight)
    theirs.out_proj.weight.copy_(parts["out"].weight)
    theirs.norm.weight.copy_(ours.norm_HV.flatten())


def steps(theirs: Any, inputs: Inputs, state: State, _: range) -> Steps:
    (x_BD,), (matrix_BHKV,) = inputs, state
    x_BxD, cache = x_BD.unsqueeze(1), modeling("minimax").MiniMaxCache()

    def run() -> tuple[Tensor, State]:
        cache.set_linear_cache(LAYER, matrix_BHKV)
        out, new_BHKV = theirs(x_BxD, None, None, cache=cache)
        return out, (new_BHKV,)

    return run


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x, None, None)[0], scope="layer",
        causal=True, options=(("depth", LAYER / (LAYERS - 1)),), copy=copy,
        state=lambda _, ours: (ours.matrix_BHKV,), steps={"": steps},
    )
]  # fmt: skip
