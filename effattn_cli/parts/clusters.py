"""Tokens grouped by cluster: which tokens belong to it, and its decoding state.

C clusters, W tokens of a cluster, G sequences that are clustered independently.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, pad

from effattn_cli.parts.hashing import by_bucket, owners


def normal(x: Tensor) -> Tensor:
    """Layer-normalised, in at least float32: rounding could change a cluster."""
    return layer_norm(x.to(torch.promote_types(x.dtype, torch.float32)), x.shape[-1:])


def nearest(x_GTK: Tensor, centre_GCK: Tensor, members: int, valid_GT: Tensor | None) -> Tensor:
    """The positions (G, C, W) of the tokens with the largest products with each centroid, sorted.

    Padding comes last, so it is included only if there are fewer tokens than members.
    """
    with torch.no_grad():
        score_GCT = centre_GCK @ x_GTK.mT
        if valid_GT is not None:
            score_GCT.masked_fill_(~valid_GT.unsqueeze(1), -torch.inf)
        return score_GCT.topk(members, sorted=False).indices.sort(-1).values


@dataclass(frozen=True)
class Members:
    """Decoding state: keys and values of all tokens, and the members of each cluster so far."""

    k_BHSK: Tensor  # by position, the first `length` of S filled
    v_BHSK: Tensor
    score_BHCW: Tensor  # of each member with the centroid; -inf in empty slots
    position_BHCW: Tensor
    length: int

    @classmethod
    def init(cls, k_BHSK: Tensor, v_BHSK: Tensor, shape: tuple[int, int], length: int) -> "Members":
        """`length` tokens; the members of each cluster are arbitrary."""
        (B, H, _, _), (C, W) = k_BHSK.shape, shape
        wide = torch.promote_types(k_BHSK.dtype, torch.float32)
        score_BHCW = torch.randn(B, H, C, W, device=k_BHSK.device, dtype=wide)
        first_C1 = torch.randint(max(1, length), (C, 1), device=k_BHSK.device)
        at_W = torch.arange(W, device=k_BHSK.device)
        position_CW = (first_C1 + at_W) % max(1, length)
        score_BHCW.masked_fill_(at_W >= length, -torch.inf)
        return cls(k_BHSK, v_BHSK, score_BHCW, position_CW.expand(B, H, C, W), length)

    def add(self, k_BHK: Tensor, v_BHK: Tensor, score_BHC: Tensor) -> tuple[Tensor, "Members"]:
        """Adds a token in place of the lowest member of each cluster that it enters (B, H, C)."""
        self.k_BHSK[:, :, self.length] = k_BHK
        self.v_BHSK[:, :, self.length] = v_BHK
        low_BHC, slot_BHC = self.score_BHCW.min(-1)
        enters_BHC = score_BHC > low_BHC
        at_W = torch.arange(self.score_BHCW.shape[-1], device=slot_BHC.device)
        new_BHCW = (at_W == slot_BHC.unsqueeze(-1)) & enters_BHC.unsqueeze(-1)
        score_BHCW = torch.where(new_BHCW, score_BHC.unsqueeze(-1), self.score_BHCW)
        position_BHCW = self.position_BHCW.masked_fill(new_BHCW, self.length)
        state = Members(self.k_BHSK, self.v_BHSK, score_BHCW, position_BHCW, self.length + 1)
        return enters_BHC, state

    def attend(self, q_BHK: Tensor, enters_BHC: Tensor) -> Tensor:
        """The mean, over the clusters entered, of softmax attention among their members (B, H, K).

        A token's weights are first summed over its clusters, so that keys and values are read once.
        Logits are small, because queries and keys are normalised.
        """
        k_BHTK, v_BHTK = (x[:, :, : self.length] for x in (self.k_BHSK, self.v_BHSK))
        exps_BHT = (k_BHTK.to(q_BHK.dtype) @ q_BHK.unsqueeze(-1)).squeeze(-1).exp()
        position_BHN = self.position_BHCW.flatten(2)
        exps_BHCW = exps_BHT.gather(-1, position_BHN).view_as(self.score_BHCW)
        exps_BHCW = exps_BHCW * self.score_BHCW.isfinite()
        enters_BHC = enters_BHC.to(exps_BHT.dtype)
        share_BHC = enters_BHC / enters_BHC.sum(-1, keepdim=True).clamp(min=1)
        weights_BHCW = exps_BHCW * (share_BHC / exps_BHCW.sum(-1)).unsqueeze(-1)
        weights_BHT = torch.zeros_like(exps_BHT).scatter_add_(
            -1, position_BHN, weights_BHCW.flatten(2)
        )
        return (weights_BHT.unsqueeze(2).to(v_BHTK.dtype) @ v_BHTK).squeeze(2)


@torch.no_grad()
def hamming_clusters(
    hash_GTS: Tensor, clusters: int, rounds: int, valid_GT: Tensor | None
) -> Tensor:
    """The cluster (G, T) of each hash of bits 1 and -1, after `rounds` assignments of k-means.

    The first hashes are the initial centroids; each bit of a centroid is that of the majority of
    its hashes, -1 if tied, and an empty centroid stays. Ties between centroids go to the first.
    """
    G, T, S = hash_GTS.shape
    C = min(clusters, T)
    row_GTE = pad(hash_GTS.float(), (0, 1), value=1.0)
    missing_GC1 = row_GTE.new_zeros(G, C, 1)
    if valid_GT is not None:
        row_GTE = row_GTE * valid_GT.unsqueeze(-1)
        missing_GC1 = (~valid_GT[:, :C]).unsqueeze(-1).float()
    # One product holds the similarity and, in its lower digits, the centroid: finding the maximum
    # is three times as fast as finding its index. All are integers, exact in float32.
    base = 2 ** (C - 1).bit_length()
    last_GC1 = torch.arange(C - 1, -1, -1, device=row_GTE.device)[:, None] - missing_GC1 * 2**23
    centre_GCS = row_GTE[:, :C, :S]
    first_G1 = torch.arange(0, G * C, C, device=row_GTE.device).unsqueeze(1)
    for left in range(rounds - 1, -1, -1):
        nearness_GTC = row_GTE @ torch.cat([base * centre_GCS, last_GC1], dim=-1).mT
        cluster_GT = C - 1 - nearness_GTC.amax(-1).long() % base
        if not left:
            break
        sums_GCE = row_GTE.new_zeros(G * C, S + 1)
        sums_GCE.index_add_(0, (cluster_GT + first_G1).flatten(), row_GTE.flatten(0, 1))
        sums_GCE = sums_GCE.view(G, C, S + 1)
        most_GCS = (sums_GCE[..., :-1] > 0).to(row_GTE.dtype) * 2 - 1
        centre_GCS = torch.where(sums_GCE[..., -1:] > 0, most_GCS, centre_GCS)
    return cluster_GT


def by_cluster(cluster_GT: Tensor, clusters: int, chunk: int) -> tuple[Tensor, Tensor]:
    """A slot for each token (G, T), and the cluster of each chunk of slots (G, Z).

    Each chunk belongs to one cluster, whose last chunk may be partly empty: there is room for the
    worst case.
    """
    G, T = cluster_GT.shape
    count_GC = cluster_GT.new_zeros(G, clusters).scatter_add_(
        1, cluster_GT, torch.ones_like(cluster_GT)
    )
    room_GC = -(-count_GC // chunk) * chunk
    end_GC = room_GC.cumsum(1)
    empty_GC = (end_GC - room_GC) - (count_GC.cumsum(1) - count_GC)  # empty slots before it
    rank_GT = by_bucket(cluster_GT).argsort(-1)
    slot_GT = rank_GT + empty_GC.gather(1, cluster_GT)
    chunks = (T + clusters * (chunk - 1)) // chunk
    return slot_GT, owners(end_GC // chunk, chunks)


def hiding(seen: Tensor, like: Tensor) -> Tensor:
    """The bias to add to scores: 0 where seen.

    Finite elsewhere, so that a query with nothing to see gets no NaN gradient.
    """
    zero = torch.zeros((), dtype=like.dtype, device=like.device)
    return torch.where(seen, zero, torch.finfo(like.dtype).min)
