import torch
from torch import Tensor

from effattn_cli.attention import Attention


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    lengths = [T] * B if valid_BT is None else valid_BT.sum(1).tolist()
    outs = []
    for b in range(B):
        for h in range(H):
            n = lengths[b]
            out_NK = _sequence(layer, *(x[b, h, :n] for x in (q_BHTK, k_BHTK, v_BHTK)))
            outs.append(torch.cat([out_NK, out_NK.new_zeros(T - n, out_NK.shape[1])]))
    return torch.stack(outs).view_as(v_BHTK)


def _sequence(layer: Attention, q_TK: Tensor, k_TK: Tensor, v_TK: Tensor) -> Tensor:
    scale = q_TK.shape[1] ** -0.5
    topk: int = layer.config.topk  # type: ignore[attr-defined]
    cluster_T = clusters(layer, q_TK)
    rows: list[Tensor] = [torch.empty(0)] * len(q_TK)
    for c in set(cluster_T):
        members = [t for t in range(len(q_TK)) if cluster_T[t] == c]
        logits_T = k_TK @ q_TK[members].mean(0) * scale
        weights_T = torch.exp(logits_T - logits_T.max())
        weights_T = weights_T / weights_T.sum()
        top = sorted(range(len(k_TK)), key=lambda j: -float(logits_T[j].detach()))[:topk]
        rest_T = torch.ones(len(k_TK)).index_fill(0, torch.tensor(top, dtype=torch.int64), 0.0)
        for t in members:
            rows[t] = (weights_T * rest_T) @ v_TK
            if top:
                exps = torch.exp(k_TK[top] @ q_TK[t] * scale)
                rows[t] = rows[t] + weights_T[top].sum() * (exps / exps.sum()) @ v_TK[top]
    return torch.stack(rows)


def clusters(layer: Attention, q_TK: Tensor) -> list[int]:
    """K-means on whole numbers, whose bits are the hash."""
    planes_LS = layer.get_buffer("planes_LS")
    signs = (q_TK.detach() @ planes_LS[:-1] + planes_LS[-1] > 0).tolist()
    hashes = [sum(bit << s for s, bit in enumerate(row)) for row in signs]
    centres = hashes[: layer.config.clusters]  # type: ignore[attr-defined]
    nearest = _nearest(hashes, centres)
    for _ in range(layer.config.iterations - 1):  # type: ignore[attr-defined]
        for c, centre in enumerate(centres):
            mine = [h for h, own in zip(hashes, nearest, strict=True) if own == c]
            centres[c] = _most(mine, centre)
        nearest = _nearest(hashes, centres)
    return nearest


def _nearest(hashes: list[int], centres: list[int]) -> list[int]:
    """The first of the centres from which fewest bits differ."""
    apart = [[(h ^ centre).bit_count() for centre in centres] for h in hashes]
    return [row.index(min(row)) for row in apart]


def _most(hashes: list[int], before: int) -> int:
    """The bits that more than half of the hashes have."""
    if not hashes:
        return before
    return sum(1 << s for s in range(64) if 2 * sum(h >> s & 1 for h in hashes) > len(hashes))
