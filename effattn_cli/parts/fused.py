"""Torch's fused attention kernels with the log-sum-exp, which the public function does not return.

To merge several attentions into one, call `forward` for each, and `backward` with the output and
the log-sum-exp of the whole: that gives each one's share of the gradient of the whole. X is what is
folded together (batch and blocks), S keys.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

aten = torch.ops.aten


def forward(
    q_XHTK: Tensor,
    k_XHSK: Tensor,
    v_XHSK: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """softmax(scale q k^T + mask) v and the log-sum-exp of each row, (X, H, T).

    q, k and v have the same width. The mask has the keys as its last axis, and no gradient.
    """
    how = kernel(q_XHTK)
    if how == "cpu":
        if mask is not None:
            mask = mask.contiguous()  # otherwise the kernel would copy it, once for each query
        return aten._scaled_dot_product_flash_attention_for_cpu(
            q_XHTK, k_XHSK, v_XHSK, 0.0, causal, attn_mask=mask, scale=scale
        )
    if how == "cuda":
        bias = _bias(q_XHTK, k_XHSK, mask)
        out, log_sum, *_ = aten._scaled_dot_product_efficient_attention(
            q_XHTK, k_XHSK, v_XHSK, bias, compute_log_sumexp=True, is_causal=causal, scale=scale
        )
        return out, log_sum[..., : q_XHTK.shape[2]]
    scores = _scores(q_XHTK, k_XHSK, mask, causal=causal, scale=scale)
    log_sum = scores.logsumexp(-1)
    return torch.exp(scores - log_sum.unsqueeze(-1)).to(v_XHSK.dtype) @ v_XHSK, log_sum


def backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    log_sum: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v, given the output, its gradient, and the log-sum-exp."""
    how = kernel(q)
    if how == "cpu":
        if mask is not None:
            mask = mask.contiguous()
        return aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, q, k, v, out, log_sum, 0.0, causal, attn_mask=mask, scale=scale
        )
    if how == "cuda":
        # The kernel reads rows as if contiguous, in blocks of 32; anything beyond the end must not
        # count.
        log_sum = pad(log_sum, (0, -log_sum.shape[-1] % 32), value=math.inf).contiguous()
        nothing = torch.zeros((), dtype=torch.int64, device=q.device)  # no dropout, no seed
        bias, wanted = _bias(q, k, mask), [True, True, True, False]
        pieces = aten._scaled_dot_product_efficient_attention_backward(
            grad, q, k, v, bias, out, log_sum, nothing, nothing, 0.0, wanted, causal, scale=scale
        )
        return pieces[0], pieces[1], pieces[2]
    scores = _scores(q, k, mask, causal=causal, scale=scale)
    weights = torch.exp(scores - log_sum.unsqueeze(-1))
    slope = weights * ((grad @ v.mT) - (grad * out).sum(-1, keepdim=True)) * scale
    slope, weights = slope.to(q.dtype), weights.to(q.dtype)
    return slope @ k, slope.mT @ q, weights.mT @ grad


def backward_of_one(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    out: Tensor,
    log_sum: Tensor,
    mask: Tensor | None = None,
    *,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Gradients of q, and of rows that are both key and value, for few queries; scores are stored.

    Both gradients of the keys are one product, and so are the scores and their gradients.
    """
    wide = torch.promote_types(q.dtype, torch.float32)
    both_XHLK = torch.cat([q * scale, grad], dim=2)
    score, slope = (both_XHLK @ k.mT).to(wide).split(q.shape[2], dim=2)
    score = score if mask is None else score + mask
    weight = (score - log_sum.unsqueeze(-1)).exp_()
    slope = (slope - (grad.to(wide) * out).sum(-1, keepdim=True)).mul_(weight)
    back_XHLS = torch.cat([slope, weight], dim=2).to(k.dtype)
    return (back_XHLS[:, :, : q.shape[2]] @ k).mul_(scale), back_XHLS.mT @ both_XHLK


def kernel(q: Tensor) -> str:
    """Which kernel returns the log-sum-exp; "none" if torch has none, or when exporting: ONNX
    attention has no log-sum-exp output.
    """
    if torch.compiler.is_exporting():
        return "none"
    if q.device.type == "cuda" and (q.dtype == torch.float64 or q.shape[-1] % 8):
        return "none"
    return q.device.type if q.device.type in {"cpu", "cuda"} else "none"


def _bias(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor | None:
    """The mask as the CUDA kernel takes it: of full shape, rows starting at multiples of 16."""
    if mask is None:
        return None
    keys = k.shape[2]
    return pad(mask.to(q.dtype), (0, -keys % 16))[..., :keys].expand(*q.shape[:3], keys)


def _scores(q: Tensor, k: Tensor, mask: Tensor | None, *, causal: bool, scale: float) -> Tensor:
    scores = (q @ k.mT).to(torch.promote_types(q.dtype, torch.float32)) * scale
    if mask is not None:
        scores = scores + mask
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    return scores
