"""Longformer in transformers: a layer without an output projection."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, Inputs, Peer
from effattn_cli.attention import Attention


def make(_: int) -> nn.Module:
    from transformers import LongformerConfig  # noqa: PLC0415
    from transformers.models.longformer.modeling_longformer import (  # noqa: PLC0415
        LongformerSelfAttention,
    )

    config = LongformerConfig(
        hidden_size=DIM, num_attention_heads=HEADS, attention_window=[512],
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return LongformerSelfAttention(config, layer_id=0)


def run(module: Any, inputs: Inputs) -> Tensor:
    (x_BTD,) = inputs
    first = torch.arange(x_BTD.shape[1])[None] < 1
    mask_BT = torch.where(first, 1.0, 0.0)  # above 0: global
    out: Tensor = module(
        x_BTD,
        attention_mask=mask_BT,
        is_index_masked=mask_BT < 0,
        is_index_global_attn=mask_BT > 0,
        is_global_attn=True,
    )[0]
    return out


def copy(ours: Attention, theirs: Any) -> None:
    for part in "qkv":
        for place, word in (("", "{}"), ("_global", "global_{}")):
            linear = getattr(theirs, {"q": "query", "k": "key", "v": "value"}[part] + place)
            linear.weight.data = (
                ours.projections[word.format(part)].get_parameter("weight").data.clone()
            )
            nn.init.zeros_(linear.bias)
    nn.init.eye_(ours.projections["out"].get_parameter("weight"))  # theirs has none


PEERS = [
    Peer(
        package="transformers", make=make, run=run, scope="layer",
        options=(("window", 512),), copy=copy,
    )
]  # fmt: skip
