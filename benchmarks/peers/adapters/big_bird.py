"""Big Bird in transformers: a layer without an output projection."""

from typing import Any

from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, Inputs, Peer

BLOCK = 64


def make(tokens: int) -> nn.Module:
    from transformers import BigBirdConfig  # noqa: PLC0415
    from transformers.models.big_bird.modeling_big_bird import (  # noqa: PLC0415
        BigBirdBlockSparseAttention,
    )

    config = BigBirdConfig(
        hidden_size=DIM, num_attention_heads=HEADS, max_position_embeddings=tokens,
        block_size=BLOCK, num_random_blocks=3, use_bias=False,
    )  # fmt: skip
    return BigBirdBlockSparseAttention(config, seed=0)


def run(module: Any, inputs: Inputs) -> Tensor:
    from transformers.models.big_bird.modeling_big_bird import BigBirdModel  # noqa: PLC0415

    (x_BTD,) = inputs
    masks = BigBirdModel.create_masks_for_block_sparse_attn(x_BTD.new_ones(x_BTD.shape[:2]), BLOCK)
    blocked, band, rows, keys = masks
    out: Tensor = module(x_BTD, band, rows, keys, blocked, blocked)[0]
    return out


def copy(ours: Any, theirs: Any) -> None:
    """Weights, and the pattern: by itself theirs draws blocks twice, or block 0 only in eval()."""
    for part, linear in (("q", theirs.query), ("k", theirs.key), ("v", theirs.value)):
        linear.weight.data = ours.projections[part].get_parameter("weight").data.clone()
    nn.init.eye_(ours.projections["out"].get_parameter("weight"))  # theirs has none

    def pattern(from_seq_length: int, **_: Any) -> list[Any]:
        plan_HZR: Tensor = ours.plan(from_seq_length // BLOCK)
        return list(plan_HZR.numpy())

    theirs._bigbird_block_rand_mask_with_head = pattern


PEERS = [
    Peer(
        package="transformers", make=make, run=run, scope="layer",
        options=(("block_size", BLOCK), ("random_blocks", 3)), copy=copy,
    )
]  # fmt: skip
