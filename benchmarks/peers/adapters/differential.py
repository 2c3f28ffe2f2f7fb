"""The attention of DiffLlama in transformers, on torch's kernels."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters._transformers import CACHED, Placed, kept, modeling
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Peer, State
from effattn_cli.parts.cache import Cache

KV_HEADS, DEPTH = 4, 3


def make(tokens: int) -> nn.Module:
    theirs = modeling("diffllama")
    config = theirs.DiffLlamaConfig(
        hidden_size=DIM, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=WIDTH,
        attn_implementation="sdpa",
    )  # fmt: skip
    inner = theirs.DiffLlamaAttention(config, layer_idx=DEPTH)
    return Placed(inner, theirs.DiffLlamaRotaryEmbedding(config), tokens)


def halves(weight: Tensor) -> Tensor:
    """Pairs of heads that are half of the heads apart, where ours are neighbours."""
    return weight.unflatten(0, (-1, 2, WIDTH)).transpose(0, 1).flatten(0, 2)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    inner, parts = theirs.inner, ours.projections
    for name in "qkv":
        getattr(inner, f"{name}_proj").weight.copy_(halves(parts[name].weight))
    inner.o_proj.weight.copy_(parts["out"].weight)
    lambdas = (inner.lambda_q1, inner.lambda_k1, inner.lambda_q2, inner.lambda_k2)
    for other, mine in zip(lambdas, ours.lambda_4K, strict=True):
        other.copy_(mine)


def state(theirs: Any, ours: Cache) -> State:
    """Ours has the values of a pair of heads side by side."""
    k_BGSK, v_BPSV = kept(theirs, ours)
    k_BPsSK, v_BPSsK = k_BGSK.unflatten(1, (-1, 2)), v_BPSV.unflatten(3, (2, WIDTH))
    return k_BPsSK.transpose(1, 2).flatten(1, 2), v_BPSsK.permute(0, 3, 1, 2, 4).flatten(1, 2)


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(("kv_heads", KV_HEADS), ("rotary", 1.0), ("depth", DEPTH)), copy=copy,
        state=state, steps=CACHED,
    )
]  # fmt: skip
