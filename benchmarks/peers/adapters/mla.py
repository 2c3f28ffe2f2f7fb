"""The attention of DeepSeek-V3 in transformers, whose query has a rank too, on torch's kernels.

In decoding it keeps rows as ours does, and makes keys and values of all of them at every step.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters._transformers import CACHED, Placed, modeling
from benchmarks.peers.peer import DIM, HEADS, WIDTH, Peer, State
from effattn_cli.parts.latent_attention import Rows

LATENT, ROPE, RANK = 256, 32, 192


def make(tokens: int) -> nn.Module:
    theirs = modeling("deepseek_v3")
    config = theirs.DeepseekV3Config(
        hidden_size=DIM, num_attention_heads=HEADS, num_key_value_heads=HEADS,
        kv_lora_rank=LATENT, q_lora_rank=RANK, qk_nope_head_dim=WIDTH, qk_rope_head_dim=ROPE,
        v_head_dim=WIDTH, attn_implementation="sdpa",
    )  # fmt: skip
    inner = theirs.DeepseekV3Attention(config, layer_idx=0)
    return Placed(inner, theirs.DeepseekV3RotaryEmbedding(config), tokens)


def neighbours(weight: Tensor) -> Tensor:
    """With the last rows, which make what is turned, in the order of DeepSeek: pairs of neighbours
    where ours are of the two halves.
    """
    rest, turned = weight[..., :-ROPE, :], weight[..., -ROPE:, :]
    paired = turned.unflatten(-2, (2, -1)).transpose(-2, -3).flatten(-3, -2)
    return torch.cat([rest, paired], dim=-2)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    inner, (down, norm, up) = theirs.inner, ours.projections["q"]
    inner.q_a_proj.weight.copy_(down.weight)
    inner.q_a_layernorm.weight.copy_(norm.weight)
    inner.q_b_proj.weight.copy_(neighbours(up.weight.unflatten(0, (HEADS, -1))).flatten(0, 1))
    inner.kv_a_proj_with_mqa.weight.copy_(neighbours(ours.projections["latent"].weight))
    inner.kv_a_layernorm.weight.copy_(ours.norm.weight)
    made_HEC = torch.cat([ours.up.key_HCN.mT, ours.up.value_HCV.mT], dim=1)
    inner.kv_b_proj.weight.copy_(made_HEC.flatten(0, 1))
    inner.o_proj.weight.copy_(ours.projections["out"].weight)


def state(_: Any, ours: Rows) -> State:
    row_BxSE = ours.filled.unsqueeze(1)
    return row_BxSE[..., :LATENT], row_BxSE[..., LATENT:]


PEERS = [
    Peer(
        package="transformers", make=make, run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(("latent", LATENT), ("rope", ROPE), ("query_rank", RANK)), copy=copy,
        state=state, steps=CACHED,
    )
]  # fmt: skip
