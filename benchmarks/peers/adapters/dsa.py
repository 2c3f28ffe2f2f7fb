"""The pooled index of GLM-5.3-Flash in transformers, which makes a mask of all pairs.

Its indexer is given what ours is, where its own projections would be. With fewer heads some pools
would be seen by none: of equal scores it takes any, and ours the first.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.adapters._transformers import modeling
from benchmarks.peers.peer import HEADS, WIDTH, Peer

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
    ) -> Tensor:
        kv = self.inner.expand_kv(row_BTC.unsqueeze(1), row_BTC.unsqueeze(1)[..., :0])
        there_BT = torch.ones(row_BTC.shape[:2], dtype=torch.bool)
        position_BTP = self.inner.indexer(
            torch.cat([index_k_BTW, gate_BTW, weight_BIT.mT], dim=2),
            index_q_BITW.transpose(1, 2).flatten(2), there_BT, None,
        )  # fmt: skip
        mask = self.inner.build_attention_mask_from_topk(position_BTP, q_BHTK, row_BTC.shape[1])
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


PEERS = [
    Peer(
        package="transformers", which="pooled index", make=make, run=lambda m, x: m(*x),
        causal=True, copy=copy, raced=False,
        options=(
            ("over", "mla"), ("latent", LATENT), ("rope", 0), ("top", TOP), ("pool", POOL),
            ("index_heads", INDEX_HEADS), ("index_width", INDEX_WIDTH),
        ),
    )
]  # fmt: skip
