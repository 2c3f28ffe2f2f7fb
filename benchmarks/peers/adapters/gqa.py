"""transformers: gpt-oss with its sinks, and Gemma 2 with its soft cap, both eager."""

from typing import Any

import torch
from torch import nn

from benchmarks.peers.adapters import _gpt_oss
from benchmarks.peers.adapters._transformers import Placed, copy_projections, modeling
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
    mask = theirs.create_causal_mask(config, torch.empty(1, tokens, DIM), None, None)
    rotary = theirs.Gemma2RotaryEmbedding(config)
    return Placed(theirs.Gemma2Attention(config, layer_idx=0), rotary, tokens, mask)


def copy(ours: Any, theirs: Any) -> None:
    copy_projections(ours, theirs.inner)


PEERS = [
    Peer(
        package="transformers", which="sinks", make=_gpt_oss.maker("full_attention"),
        run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(*_gpt_oss.OPTIONS, ("sinks", True)), copy=_gpt_oss.copy,
    ),
    Peer(
        package="transformers", which="softcap", make=make, run=lambda m, x: m(*x), scope="layer",
        causal=True, options=(("kv_heads", KV_HEADS), ("rotary", 1.0), ("softcap", CAP)), copy=copy,
    ),
]  # fmt: skip
