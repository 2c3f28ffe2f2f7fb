"""Exact softmax attention through torch's fused kernels."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from effattn_cli.attention import repeat_kv
from effattn_cli.attention.target import device_type
from effattn_cli.parts.precision import wide


def exact(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    valid_BS: Tensor | None = None,
    *,
    causal: bool = False,
) -> Tensor:
    """softmax(q k^T / sqrt K) v, never materialising T x S.

    With fewer key-value heads, query head h uses kv head h // (H / G). Since padding is on the
    right, a causal query at a real position never sees it: no mask is needed, and no N x N mask is
    built.
    """
    mask = None if valid_BS is None or causal else valid_BS[:, None, None, :]
    grouped = q_BHTK.shape[1] != k_BGSK.shape[1]
    if grouped and device_type(q_BHTK) == "cuda":
        half = q_BHTK.dtype in {torch.float16, torch.bfloat16}
        if mask is not None or not half:  # no fused kernel takes fewer kv heads there
            k_BGSK, v_BGSK = (repeat_kv(x, q_BHTK.shape[1]) for x in (k_BGSK, v_BGSK))
            grouped = False
    return scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSK, attn_mask=mask, is_causal=causal, enable_gqa=grouped
    )


def one_query(
    q_BHK: Tensor,
    k_BGSK: Tensor,
    v_BGSV: Tensor,
    sink_H: Tensor | None = None,
    cap: float = 0.0,
) -> Tensor:
    """Exact attention of one query per head over all keys, (B, H, V).

    The query heads of a group become the queries of one kv head, so that k and v are read once. A
    sink is an additional logit in the denominator, and a cap bounds the scores (soft-capping).
    """
    B, H, K = q_BHK.shape
    q_BGQK = q_BHK.view(B, k_BGSK.shape[1], -1, K)
    if sink_H is None and not cap and v_BGSV.shape[-1] == K:
        return exact(q_BGQK, k_BGSK, v_BGSV).reshape(B, H, -1)
    logits_BGQS = wide(q_BGQK * K**-0.5 @ k_BGSK.mT)
    if cap:
        logits_BGQS = cap * torch.tanh(logits_BGQS / cap)
    if sink_H is None:
        return (logits_BGQS.softmax(-1).to(v_BGSV.dtype) @ v_BGSV).reshape(B, H, -1)
    sink_BGQ1 = sink_H.to(logits_BGQS.dtype).view(1, k_BGSK.shape[1], -1, 1).expand(B, -1, -1, 1)
    weight_BGQS = torch.cat([logits_BGQS, sink_BGQ1], dim=-1).softmax(-1)[..., :-1]
    return (weight_BGQS.to(v_BGSV.dtype) @ v_BGSV).reshape(B, H, -1)
