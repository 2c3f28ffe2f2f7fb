from typing import Any

import torch
from torch import Tensor

from tests.references.sdpa import softmax_attention


def reference(
    layer: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None
) -> Tensor:
    B, _, T, _ = q_BHTK.shape
    lengths = [T] * B if valid_BT is None else valid_BT.sum(1).tolist()
    outs = []
    for b, length in enumerate(lengths):
        q, k, v = (x[b, :, :length] for x in (q_BHTK, k_BHTK, v_BHTK))
        rest_HTK = torch.zeros_like(q_BHTK[b, :, length:])
        outs.append(torch.cat([_sequence(layer, q, k, v), rest_HTK], dim=1))
    return torch.stack(outs)


def _sequence(layer: Any, q_HTK: Tensor, k_HTK: Tensor, v_HTK: Tensor) -> Tensor:
    """Without padding."""
    H, T, K = q_HTK.shape
    config = layer.config
    stretch = config.chunk or -(-config.tokens // config.rank) if layer.causal else T
    rank = 1 if layer.causal else config.rank
    k_TE, v_TE = (x.transpose(0, 1).reshape(T, H * K) for x in (k_HTK, v_HTK))
    logits_TF = k_TE @ layer.get_parameter("logits.weight").T
    far = []
    for x_TE in (k_TE, v_TE):
        rows = []
        for begin in range(0, T, stretch):
            part = slice(begin, begin + stretch)
            for r in range(rank):
                heads = []
                for h in range(H):
                    weight_S = logits_TF[part, h * rank + r].softmax(0)
                    heads.append(weight_S @ x_TE[part, h * K : (h + 1) * K])
                rows.append(torch.cat(heads))
        far.append(_heads(_norm(layer, "far_norm", torch.stack(rows)), H))
    near = [_heads(_norm(layer, "near_norm", x_TE), H) for x_TE in (k_TE, v_TE)]
    k, v = (torch.cat(both, dim=1)[None] for both in zip(near, far, strict=True))
    seen_TS = torch.zeros(T, k.shape[2], dtype=torch.bool)
    for i in range(T):
        for j in range(T):
            begin = i // config.window * config.window
            seen_TS[i, j] = (
                i - config.window < j <= i
                if layer.causal
                else begin - config.window // 2 <= j < begin + 3 * config.window // 2
            )
        seen_TS[i, T:] = torch.arange(k.shape[2] - T) < i // stretch if layer.causal else True
    return softmax_attention(q_HTK[None], k, v, seen_TS)[0]


def _norm(layer: Any, name: str, x_TE: Tensor) -> Tensor:
    centred_TE = x_TE - x_TE.mean(1, keepdim=True)
    spread_T1 = (centred_TE.square().mean(1, keepdim=True) + 1e-5).sqrt()
    weight_E, bias_E = (layer.get_parameter(f"{name}.{part}") for part in ("weight", "bias"))
    return centred_TE / spread_T1 * weight_E + bias_E


def _heads(x_TE: Tensor, heads: int) -> Tensor:
    return x_TE.view(len(x_TE), heads, -1).transpose(0, 1)
