"""Linear attention with decay: S_t = e^(g_t) S_(t-1) + k_t v_t^T, and y_t = q_t S_t.

The decay g_t <= 0 is one number per head (RetNet, Mamba-2), or one per key channel (GLA). The
length is processed in chunks: products within a chunk, and running sums between chunks. Differences
of cumulative decays are taken before the exponential, whose argument is never positive.

G key heads, H heads, R = H / G heads per key head; C tokens of a chunk, Z chunks; K width of a key,
V of a value; M sets of rows.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from effattn_cli.parts.chunked import CACHED, CHUNK, LOG2E, between, pieces_pay, running
from effattn_cli.parts.operators import operator
from effattn_cli.parts.precision import wide
from effattn_cli.parts.triangular import quarter, with_quarters


@operator(2)
def decay_scan(q_BGTK: Tensor, k_BGTK: Tensor, v_BHTV: Tensor, decay: Tensor) -> Tensor:
    """All y_t, (B, H, T, V), from an empty state.

    `decay` is (B, H, T), or (B, H, T, K) with as many key heads as heads, or (H,) if it is the same
    for every token. Heads share the products of their key head's queries and keys.
    """
    vectors = q_BGTK, k_BGTK, v_BHTV
    if decay.ndim == 1:
        fade_1HxC = cumulated(wide(decay)[None, :, None].expand(1, -1, CHUNK))
        return by_pieces(partial(_by_head, fade_1HxC), vectors)
    scan = _by_channel if decay.ndim == 4 else _by_head
    return by_pieces(lambda state, q, k, v, g: scan(cumulated(g), state, q, k, v), vectors, decay)


@operator(2, 4)
def decay_step(
    q_BHK: Tensor, k_BHK: Tensor, v_BHV: Tensor, decay: Tensor, state_BHKV: Tensor
) -> tuple[Tensor, Tensor]:
    """One token; `decay` is (B, H), or (B, H, K), or (H,)."""
    q_BHK, k_BHK, new_BHV = (wide(x) for x in (q_BHK, k_BHK, v_BHV))
    faded_BHKV = left_of(decay) * state_BHKV
    state_BHKV = torch.addcmul(faded_BHKV, k_BHK.unsqueeze(-1), new_BHV.unsqueeze(-2))
    return read(q_BHK, state_BHKV).to(v_BHV.dtype), state_BHKV


def left_of(decay: Tensor) -> Tensor:
    """The fraction of a state (B, H, K, V) that remains after one token."""
    left = wide(decay).exp().unsqueeze(-1)
    return left if decay.ndim == 3 else left.unsqueeze(-1)


def read(q_BHK: Tensor, state_BHKV: Tensor) -> Tensor:
    """Q S, (B, H, V)."""
    return (q_BHK.unsqueeze(-2) @ state_BHKV).squeeze(-2)


def by_pieces(
    scan: Callable[..., tuple[Tensor, Tensor]], vectors: Sequence[Tensor], *of_tokens: Tensor
) -> Tensor:
    """The output of a scan over all tokens, (B, H, T, V), computed piece by piece.

    `scan` takes the state, None at first, and a piece of each input in whole chunks; it returns
    their output and the state after them. The last of the vectors are the values; decays and other
    `of_tokens` are passed in float32.
    """
    T, dtype = vectors[-1].shape[2], vectors[-1].dtype
    outs: list[Tensor] = []
    state: Tensor | None = None
    for piece in in_pieces(*workable(*vectors), *map(wide, of_tokens)):
        out_BHTV, state = scan(state, *piece)
        outs.append(out_BHTV)
    return torch.cat(outs, dim=2)[:, :, :T].to(dtype)


def workable(*tensors: Tensor) -> tuple[Tensor, ...]:
    """In float32 where the processor would convert half types before each small product anyway."""
    return tuple(wide(x) if x.device.type == "cpu" else x for x in tensors)


def in_pieces(*tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """Cut along the tokens into pieces of whole chunks that fit in a CPU's caches.

    Padding after the last token is 0 everywhere: nothing is written, and nothing decays.
    """
    T = tensors[0].shape[2]
    tokens = T + -T % CHUNK
    if pieces_pay(tensors[0]):
        of_a_chunk = sum(x.numel() for x in tensors) * CHUNK // T
        tokens = max(1, CACHED // of_a_chunk) * CHUNK
    padded = (pad(x, (0, 0) * (x.ndim - 3) + (0, -T % CHUNK)) if T % CHUNK else x for x in tensors)
    return list(zip(*(torch.split(x, tokens, dim=2) for x in padded), strict=True))


def chunked(x: Tensor) -> Tensor:
    """(B, H, Z, C, ...) of (B, H, T, ...)."""
    return x.unflatten(2, (-1, CHUNK))


def cumulated(decay: Tensor) -> Tensor:
    """The cumulative decay within a chunk, each token's own included, as an exponent of 2."""
    return chunked(decay * LOG2E).cumsum(3)


def by_group(x_BHyy: Tensor, key_heads: int) -> Tensor:
    """(B, G, R, ...) of (B, H, ...)."""
    return x_BHyy.unflatten(1, (key_heads, -1))


def _by_head(
    fade_BHZC: Tensor, state: Tensor | None, q_BGTK: Tensor, k_BGTK: Tensor, v_BHTV: Tensor
) -> tuple[Tensor, Tensor]:
    G = q_BGTK.shape[1]
    q_BGZCK, k_BGZCK, v_BHZCV = chunked(q_BGTK), chunked(k_BGTK), chunked(v_BHTV)
    scores_BGxZCC = (q_BGZCK @ k_BGZCK.mT).unsqueeze(2)
    weights_BGRZCC = scores_BGxZCC * by_group(between(fade_BHZC), G).to(q_BGTK.dtype)
    y_BHZCV = weights_BGRZCC.flatten(1, 2) @ v_BHZCV
    last_BHZ1 = fade_BHZC[..., -1:]
    new_BHZCV = v_BHZCV * (last_BHZ1 - fade_BHZC).exp2().unsqueeze(-1).to(v_BHTV.dtype)
    # The heads of a key head are adjacent, so that one product covers them all.
    new_BGZCE = by_group(new_BHZCV, G).permute(0, 1, 3, 4, 2, 5).flatten(4)
    sums_BGZKE = wide(k_BGZCK.mT @ new_BGZCE)
    left_BGZE = by_group(last_BHZ1.exp2(), G).transpose(2, 3).squeeze(-1)
    left_BGZ1E = left_BGZE.repeat_interleave(v_BHTV.shape[-1], -1).unsqueeze(-2)
    left_BGZ1E = left_BGZ1E.expand(-1, -1, q_BGZCK.shape[2], -1, -1)
    before_BGZKE, state = running(state, sums_BGZKE, left_BGZ1E)
    from_state = (q_BGZCK @ before_BGZKE.to(q_BGTK.dtype)).unflatten(4, (-1, v_BHTV.shape[-1]))
    from_BHZCV = from_state.permute(0, 1, 4, 2, 3, 5).flatten(1, 2)
    y_BHZCV = torch.addcmul(y_BHZCV, from_BHZCV, fade_BHZC.exp2().unsqueeze(-1).to(y_BHZCV.dtype))
    return y_BHZCV.flatten(2, 3), state


def _by_channel(
    fade_BHZCK: Tensor, state: Tensor | None, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor
) -> tuple[Tensor, Tensor]:
    dtype = q_BHTK.dtype
    q_BHZCK, k_BHZCK, v_BHZCV = chunked(q_BHTK), chunked(k_BHTK), chunked(v_BHTV)
    last_BHZ1K = fade_BHZCK[:, :, :, -1:]
    weights_BHZCC = decayed_products(q_BHZCK.unsqueeze(0), k_BHZCK, fade_BHZCK)[0]
    kept_BHZCK = k_BHZCK * (last_BHZ1K - fade_BHZCK).exp2().to(dtype)
    sums_BHZKV = wide(kept_BHZCK.mT @ v_BHZCV)
    before_BHZKV, state = running(state, sums_BHZKV, last_BHZ1K.exp2().mT)
    seen_BHZCK = q_BHZCK * fade_BHZCK.exp2().to(dtype)
    y_BHZCV = weights_BHZCC @ v_BHZCV + seen_BHZCK @ before_BHZKV.to(dtype)
    return y_BHZCV.flatten(2, 3), state


def decayed_products(rows_MxCK: Tensor, k_xCK: Tensor, fade_xCK: Tensor) -> Tensor:
    """sum_d row_id e^(f_id - f_jd) k_jd for all i >= j of a chunk, (M, ..., C, C); 0 above.

    With rows of (M, 1, ...) and keys of (L, ...) it covers each pair of sets, (M, L, ..., C, C). A
    chunk is halved recursively: between the halves, the exponent is split where they meet, and both
    parts are negative, so that matrix products are stable however strong the decay is.
    """
    learns = (x.requires_grad for x in (rows_MxCK, k_xCK, fade_xCK))
    if torch.is_grad_enabled() and any(learns):
        product: Any = _DecayedProducts.apply
        return product(rows_MxCK, k_xCK, fade_xCK)
    return _products(rows_MxCK, k_xCK, fade_xCK)


class _DecayedProducts(torch.autograd.Function):
    """Saves only its inputs, and recomputes the exponentials in the backward pass."""

    @staticmethod
    def forward(ctx: Any, rows_MxCK: Tensor, k_xCK: Tensor, fade_xCK: Tensor) -> Tensor:
        ctx.save_for_backward(rows_MxCK, k_xCK, fade_xCK)
        return _products(rows_MxCK, k_xCK, fade_xCK)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows_MxCK, k_xCK, fade_xCK = ctx.saved_tensors
        own_MxC1 = _diagonal(grads[0]).unsqueeze(-1)
        of_rows, of_k = own_MxC1 * k_xCK, (own_MxC1 * rows_MxCK).sum(0)
        size = CHUNK
        while size > 1:
            upper, lower = _halves(fade_xCK, size)
            grad = quarter(grads[0], size // 2, 1, 0)
            _part(of_rows, size, 1).add_(grad @ (_part(k_xCK, size, 0) * upper) * lower)
            rows = _part(rows_MxCK, size, 1) * lower
            _part(of_k, size, 0).add_((grad.mT @ rows).sum(0) * upper)
            size //= 2
        # Row i has a factor e^(f_i), key j a factor e^(-f_j).
        of_fade = ((rows_MxCK * of_rows).sum(0) - k_xCK * of_k) * math.log(2)
        return of_rows.sum_to_size(rows_MxCK.shape), of_k, of_fade.sum_to_size(fade_xCK.shape)


def _products(rows_MxCK: Tensor, k_xCK: Tensor, fade_xCK: Tensor) -> Tensor:
    out_MxCC = torch.diag_embed((rows_MxCK * k_xCK).sum(-1))
    size = CHUNK
    while size > 1:
        upper, lower = _halves(fade_xCK, size)
        keys = _part(k_xCK, size, 0) * upper
        below = (_part(rows_MxCK, size, 1) * lower) @ keys.mT
        out_MxCC = with_quarters(out_MxCC, size // 2, below)
        size //= 2
    return out_MxCC


def _halves(fade_xCK: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Decays from each token of the first half to its end, and from there through the second."""
    first, second = _part(fade_xCK, size, 0), _part(fade_xCK, size, 1)
    meet = first[..., -1:, :]
    return (meet - first).exp2(), (second - meet).exp2()


def _part(x_xCK: Tensor, size: int, half: int) -> Tensor:
    """The first or the second half of each block of `size` rows: (..., C / size, size / 2, K)."""
    return x_xCK.unflatten(-2, (-1, 2, size // 2)).select(-3, half)


def _diagonal(x_xCC: Tensor) -> Tensor:
    """(..., C); torch's own function causes a warning when it is compiled."""
    return x_xCC.flatten(-2)[..., :: x_xCC.shape[-1] + 1]
