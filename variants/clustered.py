"""Clustered attention: similar queries share their attention weights."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import Attention, Card, Unsupported
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.clusters import by_cluster, hamming_clusters
from effattn_cli.parts.exact import exact
from effattn_cli.parts.hashing import take
from effattn_cli.parts.precision import lowest

CACHED = 2**18  # distances per piece, so that they fit in a CPU's caches
CHUNK = 32  # queries of a cluster that are processed together


@final
class Clustered(Attention):
    """Groups the queries into C clusters and attends once per cluster, with its mean query.

    Queries are hashed to bits, clustered by k-means in Hamming space, and every query of a cluster
    gets softmax(mean q . k_j / sqrt K) v_j. Improved: each query redistributes the weight of its
    cluster's `topk` keys among them (Fast Transformers with Clustered Attention, Vyas et al. 2020,
    arXiv:2007.04825).
    """

    card = Card(
        title="Clustered attention",
        families=("learnable-pattern",),
        paper="arXiv:2007.04825",
        year=2020,
        time="N c",
        memory="N",
        causal="never",
        kind="approximates softmax",
        swap="lossy",
        knobs={"topk": "N"},
        notes=(
            "named in the survey's text, without a row",
            "hash planes are drawn once, when the layer is made; the authors draw at every call",
            "a centre that loses all its queries stays; the authors put a random one in its place",
            "padding is no centre; in the authors' code it can be a first one",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        clusters: int = 100
        """Groups of queries."""
        bits: int = 32
        """Bits of a hash, 63 at most."""
        iterations: int = 10
        """Assignments of k-means."""
        topk: int = 0
        """Keys of each cluster that its queries weigh anew; the authors take 32; 0: none."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in ("clusters", "bits", "iterations"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        if config.bits > 63:
            raise Unsupported(f"bits {config.bits} is above 63")
        if config.topk < 0:
            raise Unsupported(f"topk {config.topk} is below 0")
        self.clusters, self.iterations, self.topk = config.clusters, config.iterations, config.topk
        self.planes_LS: Tensor  # the last row is the bias
        self.register_buffer("planes_LS", torch.randn(self.head_dim + 1, config.bits))

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        H, T, K = q_BHTK.shape[1:]
        C = min(self.clusters, T)
        valid_GT = None if valid_BT is None else valid_BT.repeat_interleave(H, dim=0)
        q_GTK = q_BHTK.flatten(0, 1)
        cluster_GT = self._clusters(q_GTK, valid_GT)
        mean_BHCK = _means(q_GTK, cluster_GT, C, valid_GT).view(-1, H, C, K)
        if self.topk:
            mean_GCK, k_GTK, v_GTK = (x.flatten(0, 1) for x in (mean_BHCK, k_BHTK, v_BHTK))
            out_GTK = self._improved(q_GTK, cluster_GT, mean_GCK, k_GTK, v_GTK, valid_GT)
            return out_GTK.view_as(q_BHTK)
        out_BHCK = exact(mean_BHCK, k_BHTK, v_BHTK, valid_BT)
        return take(out_BHCK.flatten(0, 1), cluster_GT.unsqueeze(1)).view_as(q_BHTK)

    @torch.no_grad()
    def _clusters(self, q_GTK: Tensor, valid_GT: Tensor | None) -> Tensor:
        """Hashed in at least float32: rounding could flip a bit."""
        planes_LS = self.planes_LS.to(torch.promote_types(q_GTK.dtype, torch.float32))
        bit_GTS = (q_GTK.to(planes_LS.dtype) @ planes_LS[:-1] + planes_LS[-1] > 0).float() * 2 - 1
        G, T, _ = q_GTK.shape
        group = max(1, CACHED // (T * self.clusters)) if pieces_pay(q_GTK) else G
        masks = [None] * G if valid_GT is None else torch.split(valid_GT, group)
        return torch.cat(
            [
                hamming_clusters(part, self.clusters, self.iterations, mask)
                for part, mask in zip(torch.split(bit_GTS, group), masks, strict=False)
            ]
        )

    def _improved(
        self,
        q_GTK: Tensor,
        cluster_GT: Tensor,
        mean_GCK: Tensor,
        k_GTK: Tensor,
        v_GTK: Tensor,
        valid_GT: Tensor | None,
    ) -> Tensor:
        (G, T, K), C = q_GTK.shape, mean_GCK.shape[1]
        logits_GCT = mean_GCK @ k_GTK.mT * K**-0.5
        if valid_GT is not None:
            logits_GCT = logits_GCT.masked_fill(~valid_GT.unsqueeze(1), lowest(logits_GCT))
        weights_GCT = logits_GCT.softmax(-1)
        top_GCN = logits_GCT.detach().topk(min(self.topk, T), sorted=False).indices
        mass_GC1 = weights_GCT.gather(-1, top_GCN).sum(-1, keepdim=True)
        rest_GCK = weights_GCT.scatter(-1, top_GCN, 0.0) @ v_GTK
        # The queries of a cluster are grouped into chunks, which attend to its top keys.
        slot_GT, of_GZ = by_cluster(cluster_GT, C, CHUNK)
        query_GS = slot_GT.new_full((G, of_GZ.shape[1] * CHUNK), T)
        query_GS.scatter_(1, slot_GT, torch.arange(T, device=slot_GT.device).expand(G, -1))
        q_GZSK = take(pad(q_GTK, (0, 0, 0, 1)), query_GS.view(G, -1, CHUNK))
        kv_GCNE = take(torch.cat([k_GTK, v_GTK], dim=-1), top_GCN)
        kv_GZNE = take(kv_GCNE.flatten(2), of_GZ.unsqueeze(1)).view(G, -1, *kv_GCNE.shape[2:])
        mask = None
        if valid_GT is not None:
            valid_GCN = take(valid_GT.unsqueeze(-1), top_GCN).squeeze(-1)
            mask = take(valid_GCN, of_GZ.unsqueeze(1)).transpose(1, 2)
        k_GZNK, v_GZNK = kv_GZNE.chunk(2, dim=-1)
        out_GZSK = scaled_dot_product_attention(q_GZSK, k_GZNK, v_GZNK, attn_mask=mask)
        top_GTK = take(out_GZSK.flatten(1, 2), slot_GT.unsqueeze(1)).squeeze(1)
        shared_GTE = take(torch.cat([rest_GCK, mass_GC1], dim=-1), cluster_GT.unsqueeze(1))
        rest_GTK, mass_GT1 = torch.split(shared_GTE.squeeze(1), [K, 1], dim=-1)
        return rest_GTK + mass_GT1 * top_GTK


def _means(q_GTK: Tensor, cluster_GT: Tensor, clusters: int, valid_GT: Tensor | None) -> Tensor:
    G, _, K = q_GTK.shape
    row_GTE = pad(q_GTK.to(torch.promote_types(q_GTK.dtype, torch.float32)), (0, 1), value=1.0)
    if valid_GT is not None:
        row_GTE = row_GTE * valid_GT.unsqueeze(-1)
    first_G1 = torch.arange(0, G * clusters, clusters, device=q_GTK.device).unsqueeze(1)
    to_S = (cluster_GT + first_G1).flatten()
    sums_ZE = row_GTE.new_zeros(G * clusters, K + 1).index_add(0, to_S, row_GTE.flatten(0, 1))
    sums_GCE = sums_ZE.view(G, clusters, K + 1)
    return (sums_GCE[..., :-1] / sums_GCE[..., -1:].clamp(min=1)).to(q_GTK.dtype)
