"""The attention of XLNet in transformers, which is Transformer-XL's: run segment by segment.

It has no step that keeps keys and values: it remembers hidden states, and projects all of them
again for each new token, which is no part of a core.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, WIDTH, Inputs, Peer
from effattn_cli.attention import Attention

SEGMENT = MEMORY = 256


def make(_: int) -> nn.Module:
    from transformers import XLNetConfig  # noqa: PLC0415
    from transformers.models.xlnet.modeling_xlnet import XLNetRelativeAttention  # noqa: PLC0415

    config = XLNetConfig(d_model=DIM, n_head=HEADS, dropout=0.0)
    module: nn.Module = XLNetRelativeAttention(config)
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.02)
    return module


def run(module: Any, inputs: Inputs) -> Tensor:
    q_TBHK, k_TBHK, v_TBHK = (x.permute(2, 0, 1, 3) for x in inputs)
    outs = []
    for begin in range(0, q_TBHK.shape[0], SEGMENT):
        first, end = max(0, begin - MEMORY), begin + SEGMENT
        seen, now = end - first, q_TBHK[begin:end]
        k_SBHK, v_SBHK = (
            torch.cat([x[first:begin].detach(), x[begin:end]]) for x in (k_TBHK, v_TBHK)
        )
        distance_W = torch.arange(seen, -SEGMENT, -1.0)
        turn_E = 10000.0 ** (-torch.arange(0, DIM, 2.0) / DIM)
        angle_WE = distance_W[:, None] * turn_E
        waves_WD = torch.cat([angle_WE.sin(), angle_WE.cos()], dim=1)
        r_WBHK = (waves_WD @ module.r.view(DIM, -1)).view(-1, 1, HEADS, WIDTH)
        r_WBHK = r_WBHK.expand(-1, now.shape[1], -1, -1)
        hidden_TS = torch.ones(SEGMENT, seen).triu(seen - SEGMENT + 1)
        outs.append(
            module.rel_attn_core(now, k_SBHK, v_SBHK, r_WBHK, attn_mask=hidden_TS[:, :, None, None])
        )
    return torch.cat(outs).permute(1, 2, 0, 3)


def copy(ours: Attention, theirs: Any) -> None:
    positions: Any = ours.get_submodule("positions")
    theirs.r.data = positions.project.weight.data.mT.reshape(DIM, HEADS, WIDTH)
    theirs.r_w_bias.data = positions.content_H1K.data.squeeze(1)
    theirs.r_r_bias.data = positions.position_H1K.data.squeeze(1)


PEERS = [
    Peer(
        package="transformers", make=make, run=run, causal=True, copy=copy,
        options=(("segment", SEGMENT), ("memory", MEMORY)),
    )
]  # fmt: skip
