"""charformer-pytorch: GBST, its embedding and the convolution after it taken out."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, Inputs, Peer
from effattn_cli.attention import Attention


class Given(nn.Module):
    """Stands for the embedding: gives what it was told to."""

    x_BTD: Tensor

    def forward(self, _: Tensor) -> Tensor:
        return self.x_BTD


def make(_: int) -> nn.Module:
    from charformer_pytorch import GBST  # noqa: PLC0415

    module = GBST(
        num_tokens=1, dim=DIM, max_block_size=4, downsample_factor=2, score_consensus_attn=False
    )
    module.token_emb, module.pos_conv = Given(), nn.Identity()
    return module


def run(module: Any, inputs: Inputs) -> Tensor:
    (x_BTD,) = inputs
    module.token_emb.x_BTD = x_BTD
    # Without a mask the zeros that fill up the last block count as characters.
    valid_BT = torch.ones(x_BTD.shape[:2], dtype=torch.bool)
    out: Tensor = module(valid_BT.long(), mask=valid_BT)[0]
    return out


def copy(ours: Attention, theirs: Any) -> None:
    theirs.score_fn[0].weight.data = ours.get_parameter("score.weight").data
    nn.init.zeros_(theirs.score_fn[0].bias)


PEERS = [
    Peer(
        package="charformer-pytorch", make=make, run=run, scope="layer", copy=copy,
        options=(("block", 4), ("downsample", 2)),
    )
]  # fmt: skip
