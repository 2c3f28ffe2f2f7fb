"""transformers: gpt-oss with its sinks, Gemma 2 with its soft cap, both eager, and Gemma 4 with one
projection for keys and values.
"""

from typing import Any

import torch
from torch import Tensor, nn

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


class OneProjection(nn.Module):
    """A full layer of Gemma 4."""

    places: Any

    def __init__(self, theirs: Any, tokens: int) -> None:
        super().__init__()
        config = theirs.Gemma4TextConfig(
            hidden_size=DIM, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
            num_global_key_value_heads=KV_HEADS, global_head_dim=WIDTH, num_hidden_layers=1,
            layer_types=["full_attention"], attention_k_eq_v=True, attn_implementation="sdpa",
            rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 10_000.0}},
        )  # fmt: skip
        self.inner = theirs.Gemma4TextAttention(config, layer_idx=0)
        rotary = theirs.Gemma4TextRotaryEmbedding(config)
        self.places = rotary(torch.empty(0), torch.arange(tokens)[None], "full_attention")

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.inner(x_BTD, self.places, None, {})[0]


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
        options=(*_gpt_oss.OPTIONS, ("sinks", True)), copy=_gpt_oss.copy,
    ),
    Peer(
        package="transformers", which="softcap", make=make, run=lambda m, x: m(*x), scope="layer",
        causal=True, options=(("kv_heads", KV_HEADS), ("rotary", 1.0), ("softcap", CAP)), copy=copy,
    ),
    Peer(
        package="transformers", which="k = v", run=lambda m, x: m(*x), scope="layer", causal=True,
        make=lambda tokens: OneProjection(modeling("gemma4"), tokens), copy=copy_one,
        options=(("kv_heads", KV_HEADS), ("rotary", 1.0), ("qk_norm", True), ("k_eq_v", True)),
    ),
]  # fmt: skip
