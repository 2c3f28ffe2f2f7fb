import torch
from torch import Tensor

from effattn_cli.attention import Attention


def reference(
    layer: Attention, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, H, T, _ = q_BHTK.shape
    valid_BT = torch.ones(B, T, dtype=torch.bool) if valid_BT is None else valid_BT
    outs = [
        _sequence(layer, q_BHTK[b, h], v_BHTK[b, h], valid_BT[b])
        for b in range(B)
        for h in range(H)
    ]
    return torch.stack(outs).view_as(v_BHTK)


def _sequence(layer: Attention, q_TK: Tensor, v_TK: Tensor, valid_T: Tensor) -> Tensor:
    """The rounds' outputs, weighted by exp(z_r - z) with z the log of the sum of exponentials."""
    T, K = q_TK.shape
    logits_TT = q_TK @ (q_TK / q_TK.norm(dim=1, keepdim=True)).T / K**0.5
    outs, sums = [], []
    for chunk_T in _chunks(layer, q_TK, valid_T):
        behind_TT = chunk_T[:, None] - chunk_T[None, :]
        seen_TT = ((behind_TT == 0) | (behind_TT == 1)) & valid_T[None, :]
        if layer.causal:
            seen_TT &= torch.ones_like(seen_TT).tril()
        round_TT = logits_TT - 1e5 * torch.eye(T)
        round_TT = round_TT.masked_fill(~seen_TT & ~torch.eye(T, dtype=torch.bool), -torch.inf)
        outs.append(round_TT.softmax(-1) @ v_TK)
        sums.append(round_TT.logsumexp(-1))
    share_RT = torch.stack(sums).softmax(0)
    return (share_RT[:, :, None] * torch.stack(outs)).sum(0)


def _chunks(layer: Attention, q_TK: Tensor, valid_T: Tensor) -> list[Tensor]:
    """The chunk of each token, a round at a time."""
    size, rounds = layer.config.bucket_size, layer.config.hashes  # type: ignore[attr-defined]
    rotations = [rotation_KRS for name, rotation_KRS in layer.named_buffers() if "rotation" in name]
    rounds_ = []
    for r in range(rounds):
        bucket_T = torch.zeros(len(q_TK), dtype=torch.int64)
        for rotation_KRS in rotations:
            along_TS = q_TK.detach() @ rotation_KRS[:, r]
            both_TS = torch.cat([along_TS, -along_TS], dim=1)
            bucket_T = bucket_T * both_TS.shape[1] + both_TS.argmax(1)
        tokens = sorted(range(len(q_TK)), key=lambda t: (not valid_T[t], int(bucket_T[t]), t))
        chunk_T = torch.zeros(len(q_TK))
        for rank, t in enumerate(tokens):
            chunk_T[t] = rank // size
        rounds_.append(chunk_T)
    return rounds_
