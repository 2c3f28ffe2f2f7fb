"""The pooling layer of Funnel in transformers, less its residual and LayerNorm."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, WIDTH, Inputs, Peer
from effattn_cli.attention import Attention


def make(_: int) -> nn.Module:
    from transformers import FunnelConfig  # noqa: PLC0415
    from transformers.models.funnel.modeling_funnel import (  # noqa: PLC0415
        FunnelAttentionStructure,
        FunnelRelMultiheadAttention,
    )

    config = FunnelConfig(
        d_model=DIM, n_head=HEADS, d_head=WIDTH, block_sizes=[1, 1], hidden_dropout=0.0,
        attention_dropout=0.0,
    )  # fmt: skip
    module: nn.Module = FunnelRelMultiheadAttention(config, block_index=1)
    module.layer_norm = nn.Identity()
    module.structure = FunnelAttentionStructure(config)
    return module


def run(module: Any, inputs: Inputs) -> Tensor:
    (x_BTD,) = inputs
    attention_inputs = module.structure.init_attention_inputs(x_BTD)
    pooled_BPD, attention_inputs = module.structure.pre_attention_pooling(x_BTD, attention_inputs)
    out: Tensor = module(pooled_BPD, x_BTD, x_BTD, attention_inputs)[0] - pooled_BPD
    return out


def copy(ours: Attention, theirs: Any) -> None:
    pairs = {"q": theirs.q_head, "k": theirs.k_head, "v": theirs.v_head, "out": theirs.post_proj}
    for name, linear in pairs.items():
        linear.weight.data = ours.projections[name].get_parameter("weight").data
        if linear.bias is not None:
            nn.init.zeros_(linear.bias)
    positions: Any = ours.get_submodule("positions")
    theirs.r_kernel.data = positions.project.weight.data.mT.reshape(DIM, HEADS, WIDTH)
    theirs.r_w_bias.data = positions.content_H1K.data.squeeze(1)
    theirs.r_r_bias.data = positions.position_H1K.data.squeeze(1)
    theirs.r_s_bias.data = torch.zeros_like(theirs.r_s_bias)


PEERS = [Peer(package="transformers", make=make, run=run, scope="layer", copy=copy)]
