"""The attention of gpt-oss in transformers, with a sink a head; eager, as no kernel takes one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.peers.adapters._transformers import Placed, copy_projections, modeling
from benchmarks.peers.peer import DIM, HEADS, WIDTH

KV_HEADS, WINDOW, BASE = 2, 128, 150_000.0
#: Ours, but for sinks and a window.
OPTIONS = (("kv_heads", KV_HEADS), ("rotary", 1.0), ("rotary_base", BASE))


def maker(kind: str) -> Callable[[int], nn.Module]:
    """Of layers of a kind, as transformers calls it."""

    def make(tokens: int) -> nn.Module:
        theirs = modeling("gpt_oss")
        config = theirs.GptOssConfig(
            hidden_size=DIM, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
            head_dim=WIDTH, attention_bias=False, sliding_window=WINDOW, num_hidden_layers=1,
            layer_types=[kind], rope_parameters={"rope_type": "default", "rope_theta": BASE},
            attn_implementation="eager",
        )  # fmt: skip
        masks = {
            "full_attention": theirs.create_causal_mask,
            "sliding_attention": theirs.create_sliding_window_causal_mask,
        }
        inner = theirs.GptOssAttention(config, layer_idx=0)
        nn.init.normal_(inner.sinks)  # which has no values yet
        return Placed(inner, theirs.GptOssRotaryEmbedding(config), tokens, masks[kind])

    return make


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    copy_projections(ours, theirs.inner)
    theirs.inner.sinks.copy_(ours.sink_H)
