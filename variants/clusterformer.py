"""Cluster-Former: attention among tokens grouped by k-means."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import Attention, Card, SurveyRow, Unsupported, merge_heads
from effattn_cli.parts.clusters import hiding
from effattn_cli.parts.hashing import by_bucket, take


@final
class Clusterformer(Attention):
    """Sorts the tokens by their nearest centroid and attends within chunks of that order.

    A token belongs to the centroid with the largest dot product with its keys; tokens are sorted by
    centroid and position, cut into chunks of C, and out_i is softmax(q_i k_j / sqrt K) v_j over the
    chunk of i (Cluster-Former, Wang et al. 2020, arXiv:2009.06097). C: chunk.
    """

    card = Card(
        title="Clusterformer",
        families=("learnable-pattern",),
        paper="arXiv:2009.06097",
        year=2020,
        time="N c",
        memory="N",
        causal="never",
        kind="approximates softmax",
        swap="lossy",
        knobs={"chunk": "N"},
        survey=SurveyRow(complexity="N log N", decode=False, classes="LP"),
        notes=(
            "the survey's N log N is the sort's, which multiplies nothing",
            "this is the layer that clusters; the sliding-window layers between which it stands"
            " belong to the model, and `local` is their attention",
            "a token is clustered by its keys of all heads, which stand for its hidden state: one"
            " order for all heads",
            "the centres are drawn when the layer is made and stay; in the paper k-means over a"
            " memory of hidden states finds them anew every epoch",
            "chunks are cut across the borders of clusters, as in the paper",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        clusters: int = 512
        """Centres; the authors' best, of 64, 256 and 512."""
        chunk: int = 256
        """Tokens of a chunk."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in ("clusters", "chunk"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        self.chunk = config.chunk
        self.centre_EC: Tensor
        centre_EC = torch.randn(self.heads * self.head_dim, config.clusters)
        self.register_buffer("centre_EC", centre_EC)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        B, H, T, K = q_BHTK.shape
        chunk = min(self.chunk, T)
        q_BTE, k_BTE, v_BTE = map(merge_heads, (q_BHTK, k_BHTK, v_BHTK))
        order_BT = by_bucket(self._nearest(k_BTE, valid_BT))
        position_BZC = pad(order_BT, (0, -T % chunk)).view(B, -1, chunk)
        q_GHCK, k_GHCK, v_GHCK = (
            take(x_BTE, position_BZC).view(-1, chunk, H, K).transpose(1, 2)
            for x_BTE in (q_BTE, k_BTE, v_BTE)
        )
        mask = _mask(q_BHTK, position_BZC, valid_BT) if valid_BT is not None or T % chunk else None
        out_GHCK = scaled_dot_product_attention(q_GHCK, k_GHCK, v_GHCK, attn_mask=mask)
        out_BTE = out_GHCK.transpose(1, 2).reshape(B, -1, H * K)
        rank_BT = order_BT.argsort(-1)
        return take(out_BTE, rank_BT.unsqueeze(1)).view(B, T, H, K).transpose(1, 2)

    @torch.no_grad()
    def _nearest(self, k_BTE: Tensor, valid_BT: Tensor | None) -> Tensor:
        """The centroid of each token, found in at least float32; padding is sorted last."""
        dtype = torch.promote_types(k_BTE.dtype, torch.float32)
        centre_BT = (k_BTE.to(dtype) @ self.centre_EC.to(dtype)).argmax(-1)
        if valid_BT is None:
            return centre_BT
        return centre_BT.masked_fill(~valid_BT, self.centre_EC.shape[1])


def _mask(q_BHTK: Tensor, position_BZC: Tensor, valid_BT: Tensor | None) -> Tensor:
    """Bias to add to the scores (B Z, 1, 1, C): in sorted order, real tokens come first."""
    B, _, T, _ = q_BHTK.shape
    rank_ZC = torch.arange(position_BZC[0].numel(), device=q_BHTK.device).view_as(position_BZC[0])
    if valid_BT is None:
        seen_BZC = (rank_ZC < T).expand(B, -1, -1)
    else:
        seen_BZC = rank_ZC < valid_BT.sum(1)[:, None, None]
    return hiding(seen_BZC, q_BHTK).flatten(0, 1)[:, None, None]
