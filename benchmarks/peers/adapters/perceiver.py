"""The attentions of Perceiver IO in transformers: one reading, six layers, the tokens' queries."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, Peer

LATENTS, LAYERS = 512, 6


class Perceiver(nn.Module):
    """`norm` is of the inputs, which a block norms before it calls us."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import PerceiverConfig  # noqa: PLC0415
        from transformers.models.perceiver.modeling_perceiver import (  # noqa: PLC0415
            PerceiverAttention,
            PerceiverLayer,
        )

        config = PerceiverConfig(attention_probs_dropout_prob=0.0)
        shape: dict[str, Any] = {"num_heads": HEADS, "q_dim": DIM, "kv_dim": DIM}
        self.latents = nn.Parameter(torch.randn(LATENTS, DIM))
        self.reads = PerceiverLayer(
            config, is_cross_attention=True, qk_channels=DIM, v_channels=DIM,
            widening_factor=1, **shape,
        )  # fmt: skip
        self.layers = nn.ModuleList(
            PerceiverLayer(config, widening_factor=1, **shape) for _ in range(LAYERS)
        )
        self.asks = PerceiverAttention(
            config, is_cross_attention=True, qk_channels=DIM, v_channels=DIM,
            use_query_residual=False, **shape,
        )  # fmt: skip
        self.reads.attention.self.layernorm2 = self.asks.self.layernorm1 = nn.Identity()

    def forward(self, x_BTD: Tensor) -> Tensor:
        z_BMD = self.reads(self.latents.expand(len(x_BTD), -1, -1), inputs=x_BTD)[0]
        for layer in self.layers:
            z_BMD = layer(z_BMD)[0]
        out: Tensor = self.asks(x_BTD, inputs=z_BMD)[0]
        return out


@torch.no_grad()
def copy(ours: Any, theirs: Perceiver) -> None:
    def give(linear: Any, weight: Tensor, bias: Tensor | None = None) -> None:
        linear.weight.copy_(weight)
        linear.bias.zero_() if bias is None else linear.bias.copy_(bias)

    def rest(layer: Any, out: Any, feed: Any) -> None:
        give(layer.attention.output.dense, out.weight, out.bias)
        layer.layernorm.load_state_dict(feed[0].state_dict())
        layer.mlp.dense1.load_state_dict(feed[1].state_dict())
        layer.mlp.dense2.load_state_dict(feed[3].state_dict())

    theirs.latents.copy_(ours.latents_MD)
    first, last = theirs.reads.attention.self, theirs.asks.self
    first.layernorm1.load_state_dict(ours.query[0].state_dict())
    give(first.query, ours.query[1].weight)
    give(first.key, ours.projections["k"].weight)
    give(first.value, ours.projections["v"].weight)
    rest(theirs.reads, ours.read, ours.feed)
    layers: Any = theirs.layers
    for mine, layer in zip(ours.layers, layers, strict=True):
        inner = layer.attention.self
        inner.layernorm1.load_state_dict(mine.norm.state_dict())
        parts = zip((inner.query, inner.key, inner.value), mine.qkv.weight.chunk(3), strict=True)
        for linear, weight in parts:
            give(linear, weight)
        rest(layer, mine.out, mine.feed)
    last.layernorm2.load_state_dict(ours.norm.state_dict())
    give(last.query, ours.projections["q"].weight)
    give(last.key, ours.key.weight)
    give(last.value, ours.value.weight)
    give(theirs.asks.output.dense, ours.projections["out"].weight)


PEERS = [
    Peer(
        package="transformers", make=lambda _: Perceiver(), run=lambda m, x: m(*x), scope="layer",
        options=(("latents", LATENTS), ("layers", LAYERS)), copy=copy,
    )
]  # fmt: skip
