"""The attention of Qwen3-Next in transformers: normed, a quarter turned, gated; torch's kernels."""

from typing import Any

import torch
from torch import nn

from benchmarks.peers.adapters._transformers import CACHED, Placed, kept, modeling
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Peer

KV_HEADS, ROTARY = 2, 0.25


def make(tokens: int) -> nn.Module:
    theirs = modeling("qwen3_next")
    config = theirs.Qwen3NextConfig(
        hidden_size=DIM, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=WIDTH,
        partial_rotary_factor=ROTARY, attn_implementation="sdpa",
    )  # fmt: skip
    inner = theirs.Qwen3NextAttention(config, layer_idx=3)
    return Placed(inner, theirs.Qwen3NextRotaryEmbedding(config), tokens)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    """Theirs has a head's query and gate side by side, and norms that start at 0 and add 1."""
    inner, parts = theirs.inner, ours.projections
    heads = [parts[name].weight.unflatten(0, (HEADS, WIDTH)) for name in ("q", "gate")]
    inner.q_proj.weight.copy_(torch.cat(heads, dim=1).flatten(0, 1))
    for other, name in ((inner.k_proj, "k"), (inner.v_proj, "v"), (inner.o_proj, "out")):
        other.weight.copy_(parts[name].weight)
    inner.q_norm.weight.copy_(ours.norm_q_K - 1)
    inner.k_norm.weight.copy_(ours.norm_k_K - 1)


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(("kv_heads", KV_HEADS), ("qk_norm", True), ("rotary", ROTARY)), copy=copy,
        state=kept, steps=CACHED,
    )
]  # fmt: skip
