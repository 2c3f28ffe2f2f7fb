"""compressive-transformer-pytorch: its attention, run segment by segment with both memories.

It has no step for one token: it generates by running the segment so far again.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, WIDTH, Peer

SEGMENT = MEMORY = 256
COMPRESSED, RATIO = 128, 2


class Segments(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        from compressive_transformer_pytorch.compressive_transformer_pytorch import (  # noqa: PLC0415
            SelfAttention,
        )

        self.inner = SelfAttention(DIM, SEGMENT, MEMORY, COMPRESSED, RATIO, HEADS)
        self.positions = nn.Parameter(torch.randn(HEADS, SEGMENT + MEMORY + COMPRESSED, WIDTH))

    def forward(self, x_BTD: Tensor) -> Tensor:
        self.inner.eval()  # in training it reckons the auxiliary loss besides
        memories, outs = None, []
        for x_BLD in torch.split(x_BTD, SEGMENT, dim=1):
            out_BLD, memories, _ = self.inner(x_BLD, memories, self.positions)
            memories = tuple(memory.detach() for memory in memories)
            outs.append(out_BLD)
        return torch.cat(outs, dim=1)


@torch.no_grad()
def copy(ours: Any, theirs: Segments) -> None:
    """Compression is the mean: of keys, of values, and of the states that theirs compresses."""
    inner: Any = theirs.inner
    parts = {name: linear.weight for name, linear in ours.projections.items()}
    inner.to_q.weight.copy_(parts["q"])
    inner.to_kv.weight.copy_(torch.cat([parts["k"], parts["v"]]))
    inner.to_out.weight.copy_(parts["out"])
    mean_DD = torch.eye(DIM) / RATIO
    inner.compress_mem_fn.conv.weight.copy_(mean_DD.unsqueeze(2).expand(-1, -1, RATIO))
    for linear in (ours.compress_k, ours.compress_v):
        linear.weight.copy_(mean_DD.repeat(1, RATIO))
    for layer in (inner.to_out, inner.compress_mem_fn.conv, ours.compress_k, ours.compress_v):
        layer.bias.zero_()
    for bias in (ours.positions.content_H1K, ours.positions.position_H1K):  # theirs has none
        bias.zero_()
    count = theirs.positions.shape[1]
    theirs.positions.copy_(ours.positions.embedded(count - 1, count))


PEERS = [
    Peer(
        package="compressive-transformer-pytorch", make=lambda _: Segments(),
        run=lambda m, x: m(*x), scope="layer", causal=True, copy=copy,
        options=(
            ("segment", SEGMENT), ("memory", MEMORY), ("compressed", COMPRESSED),
            ("compression", RATIO),
        ),
    )
]  # fmt: skip
