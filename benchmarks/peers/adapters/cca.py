"""The attention of ZAYA in transformers, half turned, on torch's kernels.

It is generated with a dynamic cache only.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters._transformers import Placed, kept, modeling
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Inputs, Peer, State, Steps

KV_HEADS, ROTARY, BASE = 2, 0.5, 5e6


def make(tokens: int) -> nn.Module:
    theirs = modeling("zaya")
    config = theirs.ZayaConfig(
        hidden_size=DIM, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=WIDTH,
        num_hidden_layers=1, attn_implementation="sdpa",
    )  # fmt: skip
    inner = theirs.ZayaAttention(config, layer_idx=0)
    return Placed(inner, partial(theirs.ZayaRotaryEmbedding(config), layer_type="hybrid"), tokens)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    inner, parts, made = theirs.inner, ours.projections, theirs.inner.qkv_proj
    now, late = parts["v"].weight.split([parts["v"].out_features - ours.late, ours.late])
    rows = {"q_proj": parts["q"].weight, "k_proj": parts["k"].weight}
    rows |= {"v_proj_current": now, "v_proj_delayed": late}
    for name, weight in rows.items():
        getattr(made, name).weight.copy_(weight)
    inner.o_proj.weight.copy_(parts["out"].weight)
    made.conv_qk_depthwise.weight.copy_(ours.tap_SE.T.unsqueeze(1))
    made.conv_qk_depthwise.bias.copy_(ours.tap_E)
    made.conv_qk_grouped.weight.copy_(ours.mix_SJKK.permute(1, 3, 2, 0).flatten(0, 1))
    made.conv_qk_grouped.bias.copy_(ours.mix_JxK.flatten())
    inner.qk_norm.temp.copy_(ours.temperature_Gxx.flatten())


def state(theirs: Any, ours: Any) -> State:
    """Keys and values, and what the convolutions and the late half of the values look back to."""
    return *kept(theirs, ours.cache), ours.tail.qk_BSE.mT, ours.tail.v_BxF.squeeze(1)


def steps(theirs: Any, inputs: Inputs, state: State, contexts: range) -> Steps:
    """The two small states are written in place."""
    keys, values, qk_BES, late_BF = state
    cache = theirs.dynamic(keys, values)
    cache.update_conv_state(qk_BES, 0)
    cache.update_recurrent_state(late_BF, 0)
    run, (layer,) = theirs.steps(inputs, cache, contexts), cache.layers

    def both() -> tuple[Tensor, State]:
        out, pair = run()
        return out, (*pair, layer.conv_states[0], layer.recurrent_states[0])

    return both


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(("kv_heads", KV_HEADS), ("rotary", ROTARY), ("rotary_base", BASE)), copy=copy,
        state=state, steps={"": steps},
    )
]  # fmt: skip
