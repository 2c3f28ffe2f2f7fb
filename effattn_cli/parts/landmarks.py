"""Segment means: a sequence is cut into S segments whose lengths differ by at most one token.

Only real tokens are cut, each sequence separately, so that padding moves no boundary. Of n tokens
the first n mod S segments have one more than the rest; with n < S only the first n have any.
"""

import torch
from torch import Tensor

from effattn_cli.attention import merge_heads
from effattn_cli.parts.hashing import take


def segment_means(x_BHTK: Tensor, segments: int, valid_BT: Tensor | None = None) -> Tensor:
    """(B, H, S, K), for S <= T; a segment without tokens has the mean 0."""
    x_BTE = merge_heads(x_BHTK)
    means = _even(x_BTE, segments) if valid_BT is None else _own(x_BTE, segments, valid_BT)
    return torch.unflatten(means, 2, (x_BHTK.shape[1], -1)).transpose(1, 2)


def filled(valid_BT: Tensor, segments: int) -> Tensor:
    """Which segments have a token, (B, S)."""
    return torch.arange(segments, device=valid_BT.device) < valid_BT.sum(1, keepdim=True)


def _even(x_BTE: Tensor, segments: int) -> Tensor:
    short, more = divmod(x_BTE.shape[1], segments)
    edge = more * (short + 1)
    parts = (x_BTE[:, :edge], more), (x_BTE[:, edge:], segments - more)
    return torch.cat([torch.unflatten(x, 1, (n, -1)).mean(2) for x, n in parts if n], dim=1)


def _own(x_BTE: Tensor, segments: int, valid_BT: Tensor) -> Tensor:
    T, device = x_BTE.shape[1], x_BTE.device
    real_B1 = valid_BT.sum(1, keepdim=True)
    short_B1, more_B1 = real_B1 // segments, real_B1 % segments
    at_S = torch.arange(segments, device=device)
    start_BS = at_S * short_B1 + torch.minimum(at_S, more_B1)
    length_BS1 = (short_B1 + (at_S < more_B1)).unsqueeze(2)
    at_L = torch.arange(-(-T // segments), device=device)
    rows_BSLE = take(x_BTE, (start_BS.unsqueeze(2) + at_L).clamp(max=T - 1))
    share_BSL = (at_L < length_BS1).to(x_BTE.dtype) / length_BS1.clamp(min=1)
    return (share_BSL.unsqueeze(2) @ rows_BSLE).squeeze(2)
