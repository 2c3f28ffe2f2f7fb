"""The pooled index of GLM-5.3-Flash in transformers, which makes a mask of all pairs.

In decoding it keeps the rows and the keys of the index of all tokens; at every step it pools all
keys anew, and makes the keys and values of all rows, beside which a cache copied is little.

Its indexer is given what ours is, where its own projections would be. With fewer heads some pools
would be seen by none: of equal scores it takes any, and ours the first.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters._transformers import modeling
from benchmarks.peers.peer import HEADS, WIDTH, Inputs, Peer, State, Steps
from effattn_cli.parts.compression import Entries
from effattn_cli.parts.token_index import Past

LATENT, INDEX_HEADS, INDEX_WIDTH, TOP, POOL = 256, 16, 64, 64, 16


class Indexed(nn.Module):
    """The attention behind its projections."""

    def __init__(self, inner: Any, attend: Any) -> None:
        super().__init__()
        self.inner, self.attend = inner, attend

    def forward(
        self,
        q_BHTK: Tensor,
        row_BTC: Tensor,
        index_q_BITW: Tensor,
        index_k_BTW: Tensor,
        weight_BIT: Tensor,
        gate_BTW: Tensor,
        cache: Any = None,
    ) -> Tensor:
        kept = row_BTC.unsqueeze(1), row_BTC.unsqueeze(1)[..., :0]
        kv = self.inner.expand_kv(*(kept if cache is None else cache.update(*kept, 0)))
        there_BT = torch.ones(row_BTC.shape[:2], dtype=torch.bool)
        position_BTP = self.inner.indexer(
            torch.cat([index_k_BTW, gate_BTW, weight_BIT.mT], dim=2),
            index_q_BITW.transpose(1, 2).flatten(2), there_BT, cache,
        )  # fmt: skip
        mask = self.inner.build_attention_mask_from_topk(position_BTP, q_BHTK, kv[0].shape[2])
        y_BTHV, _ = self.attend(self.inner, q_BHTK, *kv, mask, scaling=self.inner.scaling)
        return y_BTHV.transpose(1, 2)


@torch.no_grad()
def make(tokens: int) -> nn.Module:  # noqa: ARG001
    theirs = modeling("glm5_next")
    config = theirs.Glm5NextTextConfig(
        hidden_size=2 * INDEX_WIDTH + INDEX_HEADS, num_attention_heads=HEADS,
        num_key_value_heads=HEADS, q_lora_rank=INDEX_HEADS * INDEX_WIDTH, kv_lora_rank=LATENT,
        qk_nope_head_dim=WIDTH, qk_rope_head_dim=0, v_head_dim=WIDTH, index_n_heads=INDEX_HEADS,
        index_head_dim=INDEX_WIDTH, index_topk=TOP, index_kpool=POOL, num_hidden_layers=1,
        layer_types=["indexed_attention"], indexer_types=["full"],
        attn_implementation="eager",
    )  # fmt: skip
    inner = theirs.Glm5NextTextAttention(config, layer_idx=0)
    index, parts = inner.indexer, torch.eye(config.hidden_size)
    index.wq_b, index.k_norm = nn.Identity(), nn.Identity()
    index.wk.weight.copy_(parts[:INDEX_WIDTH])
    index.index_kpool_compress_gate.copy_(parts[INDEX_WIDTH : 2 * INDEX_WIDTH])
    index.weights_proj.weight.copy_(parts[2 * INDEX_WIDTH :])
    return Indexed(inner, theirs.eager_attention_forward)


@torch.no_grad()
def copy(ours: Any, theirs: Any) -> None:
    made_HEC = torch.cat([ours.over.up.key_HCN.mT, ours.over.up.value_HCV.mT], dim=1)
    theirs.inner.kv_b_proj.weight.copy_(made_HEC.flatten(0, 1))
    bias_RW = ours.index.pooler.bias_RE.normal_()
    theirs.inner.indexer.index_kpool_compress_ape.copy_(bias_RW)


def state(theirs: Any, ours: Past) -> State:
    """Its rows, and the keys of the index, each with a gate and whether it is there.

    A pool of which ours has the key alone gets tokens with that key each.
    """
    index, full = ours.index, ours.length // POOL
    assert isinstance(index, Entries)
    pools_BTW = index.row_BZK[:, :full].repeat_interleave(POOL, 1)
    rest = slice(ours.length % POOL)
    bias_RW = theirs.inner.indexer.index_kpool_compress_ape[rest]
    key_BTW = torch.cat([pools_BTW, index.x_BME[:, rest]], dim=1)
    gates = torch.zeros_like(pools_BTW), index.gate_BME[:, rest] - bias_RW
    there_BTx = torch.ones_like(key_BTW[..., :1])
    return (
        ours.rows[0][:, :, : ours.length],
        torch.cat([key_BTW, torch.cat(gates, dim=1), there_BTx], dim=2),
    )


def steps(theirs: Any, inputs: Inputs, state: State, contexts: range) -> Steps:
    from transformers import DynamicCache  # noqa: PLC0415

    q_BHK, row_BC, index_q_BIW, index_k_BW, weight_BI, gate_BW = inputs
    given = (
        q_BHK.unsqueeze(2), row_BC.unsqueeze(1), index_q_BIW.unsqueeze(2), index_k_BW.unsqueeze(1),
        weight_BI.unsqueeze(2), gate_BW.unsqueeze(1),
    )  # fmt: skip
    cache, (row_BxTC, packed_BTE) = DynamicCache(config=theirs.inner.config), state
    cache.update(row_BxTC, row_BxTC[..., :0], 0)
    cache.update_indexer(packed_BTE, 0)
    (layer,) = cache.layers
    first = layer.keys, layer.values, layer.indexer_keys

    def run() -> tuple[Tensor, State]:
        layer.keys, layer.values, layer.indexer_keys = first
        for _ in contexts:
            out = theirs(*given, cache)
        return out, (layer.keys, layer.indexer_keys)

    return run


PEERS = [
    Peer(
        package="transformers", which="pooled index", make=make, run=lambda m, x: m(*x),
        causal=True, copy=copy, raced=False, state=state, steps={"": steps},
        options=(
            ("over", "mla"), ("latent", LATENT), ("rope", 0), ("top", TOP), ("pool", POOL),
            ("index_heads", INDEX_HEADS), ("index_width", INDEX_WIDTH),
        ),
    )
]  # fmt: skip
