"""axial-attention: its attention, given our q, k and v, along the rows and then the columns."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, Inputs, Peer, nothing_to_copy

COLUMNS = 64  # divides every length that is compared


class Given(nn.Module):
    """In place of a linear map: its result, which is there already."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.span = slice(start * DIM, stop * DIM)

    def forward(self, qkv: Tensor) -> Tensor:
        return qkv[..., self.span]


def make(_: int) -> nn.Module:
    from axial_attention.axial_attention import SelfAttention  # noqa: PLC0415

    attention = SelfAttention(DIM, HEADS)
    attention.to_q, attention.to_kv, attention.to_out = Given(0, 1), Given(1, 3), nn.Identity()
    return attention


def run(attention: Any, inputs: Inputs) -> Tensor:
    B, H, _, K = inputs[0].shape
    q, k, v = (x.transpose(1, 2).reshape(B, -1, COLUMNS, H * K) for x in inputs)
    rows = attention(torch.cat([q, k, v], dim=-1).flatten(0, 1)).view_as(q)
    columns = torch.cat([q, k, rows], dim=-1).transpose(1, 2)
    out = attention(columns.flatten(0, 1)).view(B, COLUMNS, -1, H, K)
    return out.transpose(1, 2).flatten(1, 2).transpose(1, 2)


PEERS = [
    Peer(
        package="axial-attention", make=make, run=run,
        options=(("width", COLUMNS),), copy=nothing_to_copy,
    )
]  # fmt: skip
