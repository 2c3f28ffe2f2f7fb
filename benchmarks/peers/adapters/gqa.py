"""transformers: gpt-oss with its sinks, Gemma 2 with its soft cap, both eager, and Gemma 4 with one
projection for keys and values.
"""

from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.peers.adapters import _gpt_oss
from benchmarks.peers.adapters._transformers import (
    CACHED,
    Placed,
    copy_projections,
    kept,
    modeling,
)
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Peer

KV_HEADS = 2
CAP = 0.5  # 50 in Gemma 2, which no score of random weights comes near


def make(tokens: int) -> nn.Module:
    theirs = modeling("gemma2")
    config = theirs.Gemma2Config(
        hidden_size=DIM, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=WIDTH,
        query_pre_attn_scalar=WIDTH, attn_logit_softcapping=CAP, num_hidden_layers=1,
        layer_types=["full_attention"], attn_implementation="eager",
    )  # fmt: skip
    rotary, mask = theirs.Gemma2RotaryEmbedding(config), theirs.create_causal_mask
    return Placed(theirs.Gemma2Attention(config, layer_idx=0), rotary, tokens, mask)


def copy(ours: Any, theirs: Any) -> None:
    copy_projections(ours, theirs.inner)


def make_one(tokens: int) -> nn.Module:
    """A full layer of Gemma 4."""
    theirs, kind = modeling("gemma4"), "full_attention"
    config = theirs.Gemma4TextConfig(
        hidden_size=DIM, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
        num_global_key_value_heads=KV_HEADS, global_head_dim=WIDTH, num_hidden_layers=1,
        layer_types=[kind], attention_k_eq_v=True, attn_implementation="sdpa",
        rope_parameters={kind: {"rope_type": "default", "rope_theta": 10_000.0}},
    )  # fmt: skip
    inner = theirs.Gemma4TextAttention(config, layer_idx=0)
    rotary = partial(theirs.Gemma4TextRotaryEmbedding(config), layer_type=kind)
    return Placed(inner, rotary, tokens, shared_kv_states={})


@torch.no_grad()
def copy_one(ours: Any, theirs: Any) -> None:
    """Theirs does not divide scores by the root of the width."""
    inner = theirs.inner
    for name, other in (("q", "q_proj"), ("k", "k_proj"), ("out", "o_proj")):
        getattr(inner, other).weight.copy_(ours.projections[name].weight)
    inner.q_norm.weight.copy_(ours.norm_q_K * WIDTH**-0.5)
    inner.k_norm.weight.copy_(ours.norm_k_K)


PEERS = [
    Peer(
        package="transformers", which="sinks", make=_gpt_oss.maker("full_attention"),
        run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(*_gpt_oss.OPTIONS, ("sinks", True)), copy=_gpt_oss.copy, state=kept,
        steps=CACHED,
    ),
    Peer(
        package="transformers", which="softcap", make=make, run=lambda m, x: m(*x), scope="layer",
        causal=True, options=(("kv_heads", KV_HEADS), ("rotary", 1.0), ("softcap", CAP)), copy=copy,
        state=kept, steps=CACHED,
    ),
    Peer(
        package="transformers", which="k = v", make=make_one, run=lambda m, x: m(*x), scope="layer",
        causal=True, copy=copy_one, state=kept, steps=CACHED,
        options=(("kv_heads", KV_HEADS), ("rotary", 1.0), ("qk_norm", True), ("k_eq_v", True)),
    ),
]  # fmt: skip
