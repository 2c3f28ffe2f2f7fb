import torch
from torch import Tensor

from effattn_cli.attention import Attention


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    centre_HCK = layer.get_buffer("centre_HCK")
    k_BHTK = q_BHTK if layer.share_qk else k_BHTK
    q_BHTK, k_BHTK = _normal(q_BHTK), _normal(k_BHTK)
    valid_BT = torch.ones(B, T, dtype=torch.bool) if valid_BT is None else valid_BT
    outs = [
        _sequence(layer, q_BHTK[b, h], k_BHTK[b, h], v_BHTK[b, h], centre_HCK[h], valid_BT[b])
        for b in range(B)
        for h in range(H)
    ]
    return torch.stack(outs).view_as(v_BHTK)


def _normal(x: Tensor) -> Tensor:
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def _sequence(
    layer: Attention, q_TK: Tensor, k_TK: Tensor, v_TK: Tensor, centre_CK: Tensor, valid_T: Tensor
) -> Tensor:
    T, K = q_TK.shape
    sums, counts = torch.zeros(T, K), torch.zeros(T, 1)
    exps_TT = torch.exp(q_TK @ k_TK.T / K**0.5)
    if layer.causal:
        exps_TT = exps_TT.tril()
    for centre_K in centre_CK:
        queries = _nearest(layer, q_TK.detach() @ centre_K, valid_T)
        keys = _nearest(layer, k_TK.detach() @ centre_K, valid_T)
        exps = exps_TT * queries[:, None] * keys[None, :]
        total = exps.sum(1, keepdim=True)
        sums = sums + torch.where(total > 0, exps / total.clamp(min=1e-30), 0.0) @ v_TK
        counts = counts + (total > 0)
    return sums / counts.clamp(min=1)


def _nearest(layer: Attention, score_T: Tensor, valid_T: Tensor) -> Tensor:
    """1 for the real tokens of the `window` highest scores, else 0."""
    window: int = layer.window  # type: ignore[assignment]
    positions = [t for t in range(len(score_T)) if valid_T[t]]
    best = sorted(positions, key=lambda t: -float(score_T[t]))[:window]
    return torch.zeros(len(score_T)).index_fill(0, torch.tensor(best), 1.0)
