import torch
from torch import Tensor

from effattn_cli.attention import Attention
from tests.references.sdpa import softmax_attention, visible


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    seen_B1TT = visible(T, valid_BT, batch=B)
    block = layer.config.block_size  # type: ignore[attr-defined]
    blocks = -(-T // block)
    outs = []
    for h in range(H):
        pattern_TT = torch.zeros(T, T, dtype=torch.bool)
        for row in range(blocks):
            for z in seen_blocks(layer, blocks, h, row):
                pattern_TT[row * block : (row + 1) * block, z * block : (z + 1) * block] = True
        q, k, v = (x[:, h : h + 1] for x in (q_BHTK, k_BHTK, v_BHTK))
        outs.append(softmax_attention(q, k, v, seen_B1TT & pattern_TT))
    return torch.cat(outs, dim=1)


def seen_blocks(layer: Attention, blocks: int, head: int, row: int) -> set[int]:
    """Floyd's sampling of R from the blocks that the row does not see: those after, then before."""
    if row in {0, blocks - 1}:
        return set(range(blocks))
    near = {0, blocks - 1, row - 1, row, row + 1}
    free = [z % blocks for z in range(row + 2, row + blocks) if z % blocks not in near]
    random = layer.config.random_blocks  # type: ignore[attr-defined]
    if len(free) <= random:
        return near | set(free)
    drawn: set[int] = set()
    for i, number in enumerate(layer.get_buffer("draws_HZR")[head, row - 1].tolist()):
        top = len(free) - random + i
        drawn.add(top if number % (top + 1) in drawn else number % (top + 1))
    return near | {free[i] for i in drawn}
