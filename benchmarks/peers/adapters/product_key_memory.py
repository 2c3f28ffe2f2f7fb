"""The package product-key-memory, with as many keys and as wide queries as ours."""

from typing import Any

from torch import nn

from benchmarks.peers.peer import DIM, Peer

KEYS, HEADS, HALF = 128, 4, 128


def make(_: int) -> nn.Module:
    from product_key_memory import PKM  # noqa: PLC0415

    return PKM(DIM, heads=HEADS, num_keys=KEYS, topk=32, dim_head=HALF)


def copy(ours: Any, theirs: Any) -> None:
    """Theirs has the first halves of all heads before the second ones, ours head by head."""
    weight = ours.to_query.weight.data.view(HEADS, 2, HALF, DIM)
    theirs.to_queries.weight.data = weight.transpose(0, 1).reshape(-1, DIM)
    theirs.keys.data = (
        ours.keys_ZPJ.data.view(HEADS, 2, HALF, KEYS).permute(0, 3, 1, 2).contiguous()
    )
    theirs.norm.load_state_dict(ours.norm.state_dict())
    theirs.values.weight.data = ours.values_SD.data


PEERS = [
    Peer(
        package="product-key-memory", make=make, run=lambda m, x: m(*x), scope="layer",
        options=(("keys", KEYS),), copy=copy,
    )
]  # fmt: skip
