from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import visible


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, H, T, K = q_BHTK.shape

    def row(name: str, q_K: Tensor, h: int) -> Tensor:
        weights_LN = layer.get_parameter(name)[h]
        return weights_LN[:K].T @ q_K.clamp(min=0) + weights_LN[K]

    def tiled(q_K: Tensor, h: int) -> Tensor:
        inner, outer = row("inner_HLA", q_K, h), row("outer_HLB", q_K, h)
        return torch.stack([inner[j % len(inner)] * outer[j // len(inner)] for j in range(T)])

    def logits(term: str, b: int, h: int) -> Tensor:
        q_TK = q_BHTK[b, h]
        if term == "dot":
            return q_TK @ k_BHTK[b, h].T / K**0.5
        if term == "dense":
            return torch.stack([row("dense_HLN", q_TK[t], h)[:T] for t in range(T)])
        if term == "factorised-dense":
            return torch.stack([tiled(q_TK[t], h) for t in range(T)])
        if term == "factorised-random":
            return (layer.left_HNR[h] @ layer.right_HRN[h])[:T, :T]
        return (layer.random_HNN if term == "random" else layer.fixed_HNN)[h, :T, :T]

    terms = layer.config.logits.split("+")
    powers = [torch.exp(share) for share in layer.shares] if len(terms) > 1 else [torch.ones(())]
    sums = [
        sum(p * logits(term, b, h) for p, term in zip(powers, terms, strict=True))
        for b in range(B)
        for h in range(H)
    ]
    mixed_BHTS = torch.stack(sums).view(B, H, T, T) / sum(powers)  # type: ignore[arg-type]
    weights_BHTS = torch.exp(mixed_BHTS) * visible(T, valid_BT, causal=layer.causal, batch=B)
    weights_BHTS = weights_BHTS / weights_BHTS.sum(-1, keepdim=True)
    return torch.einsum("bhts,bhsk->bhtk", weights_BHTS, v_BHTK)
