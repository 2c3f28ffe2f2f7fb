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
            out_NK = _sequence(layer, h, q_BHTK[b, h, :n], k_BHTK[b, h, :n], v_BHTK[b, h, :n])
            outs.append(torch.cat([out_NK, out_NK.new_zeros(T - n, out_NK.shape[1])]))
    return torch.stack(outs).view_as(v_BHTK)


def _sequence(layer: Attention, head: int, q_TK: Tensor, k_TK: Tensor, v_TK: Tensor) -> Tensor:
    """A block at a time; of a block that is cut short, the missing tokens are nowhere."""
    size: int = layer.block  # type: ignore[assignment]
    budget: int = layer.sortcut  # type: ignore[assignment]
    T, K = q_TK.shape
    blocks = -(-T // size)
    valid_ZC = (torch.arange(blocks * size) < T).view(blocks, size).double()
    k_ZCK, v_ZCK = (
        torch.cat([x, x.new_zeros(blocks * size - T, K)]).view(blocks, size, K)
        for x in (k_TK, v_TK)
    )
    sort_ZZ = sorting(layer, head, torch.cat([q_TK, k_TK], dim=1))
    outs = []
    for block in range(blocks):
        at_C = torch.arange(block * size, min((block + 1) * size, T))
        keys: list[Tensor] = []
        values: list[Tensor] = []
        weights: list[Tensor] = []
        for row in range(min(budget, blocks)) if budget else [block]:
            if not float(sort_ZZ[row].detach().sum()):
                continue
            valid_C = (sort_ZZ[row][:, None] * valid_ZC).sum(0)
            there = valid_C.detach() > 0
            share_C = valid_C[there] / sort_ZZ[row].sum()
            for kept, x_ZCK in ((keys, k_ZCK), (values, v_ZCK)):
                kept.append(
                    torch.einsum("z,zck->ck", sort_ZZ[row], x_ZCK)[there] / share_C[:, None]
                )
            weights.append(share_C.expand(len(at_C), -1))
        if not budget:
            keys.append(k_TK[at_C])
            values.append(v_TK[at_C])
            own_CC = torch.ones(len(at_C), len(at_C))
            weights.append(own_CC.tril() if layer.causal else own_CC)
        exps = torch.cat(weights, dim=1) * torch.exp(q_TK[at_C] @ torch.cat(keys).T / K**0.5)
        outs.append(exps @ torch.cat(values) / exps.sum(1, keepdim=True))
    return torch.cat(outs)


def sorting(layer: Attention, head: int, x_TE: Tensor) -> Tensor:
    """R, by division of the exponentials."""
    size: int = layer.block  # type: ignore[assignment]
    inner_EK = layer.get_parameter("sort.inner_HEK")[head]
    outer_KZ = layer.get_parameter("sort.outer_HKZ")[head]
    starts = range(0, len(x_TE), size)
    blocks = len(starts)
    logits = []
    for start in starts:
        seen_TE = x_TE[: start + 1] if layer.causal else x_TE[start : start + size]
        logits.append((seen_TE.sum(0) @ inner_EK).relu() @ outer_KZ[:, :blocks])
    weights_ZZ = torch.exp(torch.stack(logits) / layer.config.temperature)  # type: ignore[attr-defined]
    if layer.causal:
        weights_ZZ = weights_ZZ.tril(-1)
    for _ in range(layer.config.iterations):  # type: ignore[attr-defined]
        weights_ZZ = _divided(weights_ZZ, weights_ZZ.sum(1, keepdim=True).expand_as(weights_ZZ))
        sums = [weights_ZZ[: i + 1 if layer.causal else blocks].sum(0) for i in range(blocks)]
        weights_ZZ = _divided(weights_ZZ, torch.stack(sums))
    return weights_ZZ


def _divided(weights: Tensor, sums: Tensor) -> Tensor:
    return torch.where(sums > 0, weights / sums.clamp(min=1e-300), 0.0)
