"""local-attention that looks at no other block; and Llama 4's layer in transformers, with a mask of
all tokens by all.
"""

from typing import Any

from torch import empty, nn

from benchmarks.peers.adapters._transformers import Placed, copy_projections, modeling
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Peer, nothing_to_copy

CHUNK, KV_HEADS = 256, 2


def make_blocks(_: int) -> nn.Module:
    from local_attention import LocalAttention  # noqa: PLC0415

    return LocalAttention(
        CHUNK, causal=True, look_backward=0, look_forward=0, autopad=True,
        use_rotary_pos_emb=False,
    )  # fmt: skip


def make(tokens: int) -> nn.Module:
    theirs = modeling("llama4")
    config = theirs.Llama4TextConfig(
        hidden_size=DIM, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=WIDTH,
        attention_chunk_size=CHUNK, num_hidden_layers=1, layer_types=["chunked_attention"],
        no_rope_layers=[0], attn_temperature_tuning=False, attn_implementation="sdpa",
    )  # fmt: skip
    mask = theirs.create_chunked_causal_mask(config, empty(1, tokens, DIM), None, None)
    inner = theirs.Llama4TextAttention(config, layer_idx=0)
    return Placed(inner, theirs.Llama4TextRotaryEmbedding(config), tokens, mask)


def copy(ours: Any, theirs: Any) -> None:
    copy_projections(ours, theirs.inner)


PEERS = [
    Peer(
        package="local-attention", make=make_blocks, run=lambda m, x: m(*x), causal=True,
        options=(("chunk", CHUNK),), copy=nothing_to_copy,
    ),
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(("chunk", CHUNK), ("kv_heads", KV_HEADS)), copy=copy,
    ),
]  # fmt: skip
