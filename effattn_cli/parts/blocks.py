"""Attention in blocks of tokens: each block sees itself and the blocks next to it.

C tokens of a block, Z blocks, S keys that a block sees, P pairs of sequence and head.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import repeat_kv
from effattn_cli.parts.banded import overlapping
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.lse_merge import Part, hide, union

ALIGNED = 16  # tokens; kernels work on multiples of it without a remainder


def blocked(
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    valid_BT: Tensor | None = None,
    *,
    block: int,
    before: int = 0,
    after: int = 0,
) -> Tensor:
    """softmax(q k^T / sqrt K) v over the query's block, `before` earlier and `after` later ones.

    A block that sees no real key outputs an average of padding; none of its queries is real.
    """
    B, H, T, K = q_BHTK.shape
    block, looks = min(block, T), before + 1 + after
    q_BHTK, k_BHTK, v_BHTK = (even(x, block) for x in (q_BHTK, k_BHTK, v_BHTK))
    mask = key_mask(q_BHTK, T, valid_BT)
    if looks == 1:
        mask_XC = None if mask is None else mask.view(-1, 1, 1, block)
        q_XHCK, k_XHCK, v_XHCK = (fold(x, block) for x in (q_BHTK, k_BHTK, v_BHTK))
        out_XHCK = scaled_dot_product_attention(q_XHCK, k_XHCK, v_XHCK, attn_mask=mask_XC)
        return unfold(out_XHCK, B)[:, :, :T]
    beside = (0, 0, before * block, after * block)
    q_ZPCK = q_BHTK.reshape(B * H, -1, block, K).transpose(0, 1)
    k_ZPSK, v_ZPSK = (
        overlapping(pad(x, beside).flatten(0, 1), block, looks) for x in (k_BHTK, v_BHTK)
    )
    mask = q_BHTK.new_zeros(1, q_BHTK.shape[2]) if mask is None else mask
    mask = pad(mask, beside[2:], value=torch.finfo(mask.dtype).min / 2)
    mask_PT1 = (mask.repeat_interleave(H, 0) if len(mask) > 1 else mask).unsqueeze(2)
    mask_ZP1S = overlapping(mask_PT1, block, looks).mT
    out_ZPCK = scaled_dot_product_attention(q_ZPCK, k_ZPSK, v_ZPSK, attn_mask=mask_ZP1S)
    return out_ZPCK.transpose(0, 1).reshape(B, H, -1, K)[:, :, :T]


def blocked_causal(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, *, block: int, memory: int = 0
) -> Tensor:
    """Each query sees its block up to itself, and the `memory` tokens before the block.

    Padding is on the right, so no real query sees it.
    """
    T = q_BHTK.shape[2]
    block = min(block, T)
    q_BHTK, k_BHTK, v_BHTK = (even(x, block) for x in (q_BHTK, k_BHTK, v_BHTK))
    blocks = q_BHTK.shape[2] // block
    parts = [Part(blocks=blocks, causal=True)]
    for back in range(1, min(blocks, 1 - -memory // block)):
        mask, far = None, back * block - memory  # keys of that block that are out of reach
        if far > 0:
            mask = hide(torch.arange(block, device=q_BHTK.device) < far, q_BHTK)[None, None, None]
        span = back * block
        parts.append(Part((span, None), (0, -span), blocks=blocks - back, mask=mask))
    return union(q_BHTK, [(k_BHTK, v_BHTK)], parts)[:, :, :T]


def windowed(
    q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, *, window: int, sink_H: Tensor | None = None
) -> Tensor:
    """Each query sees the W keys up to itself, and a sink. Padding is on the right."""
    T = q_BHTK.shape[2]
    window = min(window, T)
    k_BHTK, v_BHTK = (repeat_kv(x, q_BHTK.shape[1]) for x in (k_BGTK, v_BGTK))
    q_BHTK, k_BHTK, v_BHTK = (even(x, window) for x in (q_BHTK, k_BHTK, v_BHTK))
    return union(q_BHTK, [(k_BHTK, v_BHTK)], sliding(q_BHTK, window), sink_H)[:, :, :T]


def sliding(q_BHTK: Tensor, window: int) -> list[Part]:
    """The parts by which each query sees the W keys up to itself; T must be a multiple of W.

    These keys are in the query's own block of W and in the one before.
    """
    blocks = q_BHTK.shape[2] // window
    at_C1 = torch.arange(window, device=q_BHTK.device)[:, None]
    own = Part(blocks=blocks, causal=True)
    if blocks == 1:
        return [own]
    gone = hide(at_C1 >= at_C1.T, q_BHTK)
    return [own, Part((window, None), (0, -window), blocks=blocks - 1, mask=gone)]


def within(q_XYCK: Tensor, k_XYSK: Tensor, v_XYSK: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt K + mask) v over many small blocks; the mask may require a gradient.

    Computed unfused when training on a CPU, if scores are few and there is no constant mask: the
    fused kernel is slower there, and takes no mask that requires a gradient.
    """
    few = k_XYSK.shape[2] <= 2 * k_XYSK.shape[3] and torch.finfo(q_XYCK.dtype).bits >= 32
    added = mask is not None and not mask.requires_grad
    if not (few and torch.is_grad_enabled() and pieces_pay(q_XYCK)) or added:
        return scaled_dot_product_attention(q_XYCK, k_XYSK, v_XYSK, attn_mask=mask)
    q, k, v = (x.reshape(-1, *x.shape[2:]) for x in (q_XYCK, k_XYSK, v_XYSK))
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if mask is not None:
        scores = (scores.view(*q_XYCK.shape[:3], -1) + mask).view_as(scores)
    return (scores.softmax(-1) @ v).view_as(q_XYCK)


def even(x_BHTE: Tensor, block: int) -> Tensor:
    """Padded with zeros at the end, up to a multiple of `block`."""
    missing = -x_BHTE.shape[2] % block
    return pad(x_BHTE, (0, 0, 0, missing)) if missing else x_BHTE


def key_mask(q_BHTK: Tensor, tokens: int, valid_BT: Tensor | None) -> Tensor | None:
    """Bias to add to a key's scores, (B, T) over the padded length; None if all keys are real."""
    evened = q_BHTK.shape[2]
    if valid_BT is None:
        if tokens == evened:
            return None
        valid_BT = torch.ones(q_BHTK.shape[0], tokens, dtype=torch.bool, device=q_BHTK.device)
    return hide(~pad(valid_BT, (0, evened - tokens)), q_BHTK)


def near_root(tokens: int) -> int:
    """About sqrt N: a multiple of 16 that divides N if one is within sqrt 2 of it, else rounded up.

    Blocks of that size need no padding and leave kernels no remainder: 2048 tokens as 64 by 32 run
    1.3 to 1.7 times as fast as 45 by 46.
    """
    sizes = range(ALIGNED, math.isqrt(2 * tokens) + 1, ALIGNED)
    fitting = [size for size in sizes if tokens % size == 0 and 2 * size**2 >= tokens]
    return min(
        fitting,
        key=lambda size: max(size**2, tokens) / min(size**2, tokens),
        default=1 + math.isqrt(tokens - 1),
    )


def fold(x_BHTE: Tensor, block: int) -> Tensor:
    """(B Z, H, C, E): a view of (B, T, H, E) in memory."""
    _, H, _, E = x_BHTE.shape
    return x_BHTE.transpose(1, 2).reshape(-1, block, H, E).transpose(1, 2)


def unfold(x_XHCE: Tensor, batch: int) -> Tensor:
    """(B, H, T, E), the inverse of `fold`."""
    _, H, _, E = x_XHCE.shape
    return x_XHCE.transpose(1, 2).reshape(batch, -1, H, E).transpose(1, 2)


def fold_columns(x_BHTE: Tensor, width: int) -> Tensor:
    """(B, W H, T / W, E): every W-th token by itself; a view of (B, T, H, E) in memory."""
    B, H, _, E = x_BHTE.shape
    return x_BHTE.transpose(1, 2).reshape(B, -1, width * H, E).transpose(1, 2)


def unfold_columns(x_BYRE: Tensor, width: int) -> Tensor:
    """(B, H, T, E), the inverse of `fold_columns`."""
    B, Y, _, E = x_BYRE.shape
    return x_BYRE.transpose(1, 2).reshape(B, -1, Y // width, E).transpose(1, 2)
