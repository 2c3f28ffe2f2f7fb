"""local-attention that looks at no other block; and Llama 4's layer in transformers, with a mask of
all tokens by all.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters import _local_attention
from benchmarks.peers.adapters._transformers import Placed, copy_projections, modeling
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Inputs, Peer, State, Steps, nothing_to_copy

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
    inner, rotary = theirs.Llama4TextAttention(config, 0), theirs.Llama4TextRotaryEmbedding(config)
    return Placed(inner, rotary, tokens, theirs.create_chunked_causal_mask)


def copy(ours: Any, theirs: Any) -> None:
    copy_projections(ours, theirs.inner)


def state(_: Any, ours: Any) -> State:
    """The keys and values of the chunk."""
    at = ours.length % CHUNK
    return ours.k_BGCK[:, :, :at], ours.v_BGCK[:, :, :at]


def steps(theirs: Any, inputs: Inputs, state: State, contexts: range) -> Steps:
    """Its cache always has a chunk but one token; a mask hides those of the chunk before."""
    before = torch.randn(2, 1, KV_HEADS, CHUNK - 1 - state[0].shape[2], WIDTH)
    keys, values = (torch.cat(both, dim=2) for both in zip(before, state, strict=True))
    run = theirs.steps(inputs, theirs.dynamic(keys, values), contexts)

    def of_chunk() -> tuple[Tensor, State]:
        out, cached = run()
        first = CHUNK - 1 - contexts.stop % CHUNK
        return out, tuple(x[:, :, first:] for x in cached)

    return of_chunk


PEERS = [
    Peer(
        package="local-attention", make=make_blocks, run=lambda m, x: m(*x), causal=True,
        options=(("chunk", CHUNK),), copy=nothing_to_copy, state=state,
        steps={"": _local_attention.steps},
    ),
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(("chunk", CHUNK), ("kv_heads", KV_HEADS)), copy=copy, state=state,
        steps={"": steps},
    ),
]  # fmt: skip
