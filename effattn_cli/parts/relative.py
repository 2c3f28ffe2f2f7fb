"""Attention with relative positions, as in Transformer-XL.

score_ij = (q_i + u) k_j + (q_i + v) r_{i-j} with r_d = W_r sinusoid(d) (arXiv:1901.02860). S keys,
W distances whose embeddings r holds, C queries of a block.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from effattn_cli.attention.target import device_type
from effattn_cli.parts.precision import lowest
from effattn_cli.parts.rows import rows_at_once


class RelativeScores(nn.Module):
    """The learned parameters: W_r, and the content bias u and the position bias v."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.dim, self.heads, self.head_dim = dim, heads, head_dim
        self.project = nn.Linear(dim, heads * head_dim, bias=False)
        self.content_H1K = nn.Parameter(0.02 * torch.randn(heads, 1, head_dim))
        self.position_H1K = nn.Parameter(0.02 * torch.randn(heads, 1, head_dim))

    def embedded(self, furthest: int, count: int) -> Tensor:
        """Embeddings r of the distances `furthest`, `furthest` - 1, ...: (H, W, K), W = `count`."""
        weight = self.project.weight
        exact = torch.promote_types(weight.dtype, torch.float32)
        distance_W = furthest - torch.arange(count, device=weight.device, dtype=exact)
        channel = torch.arange(0, self.dim, 2, device=weight.device, dtype=exact)
        angle_WE = distance_W[:, None] * 10000 ** (-channel / self.dim)
        waves_WD = torch.cat([angle_WE.sin(), angle_WE.cos()], dim=-1)[:, : self.dim]
        r_WE = self.project(waves_WD.to(weight.dtype))
        return r_WE.view(count, self.heads, self.head_dim).transpose(0, 1)

    def attend(
        self,
        q_BHTK: Tensor,
        k_BHSK: Tensor,
        v_BHSK: Tensor,
        r_HWK: Tensor,
        valid_BS: Tensor | None = None,
        *,
        start: int,
        stride: int = 1,
        causal: bool = False,
        aside: bool = False,
    ) -> Tensor:
        """Softmax attention, in blocks; query i is at the position of key `start` + `stride` i.

        The last `stride` columns of r are beyond the smallest distance between a query and a key (0
        if causal) and unused: they make the shift a view. `aside`: the first query and the first
        key have no position.
        """
        T, S, W, outs = q_BHTK.shape[2], k_BHSK.shape[2], r_HWK.shape[1], []
        block = rows_at_once(q_BHTK, S)
        for first in range(0, T, block):
            q_BHCK = q_BHTK[:, :, first : first + block]
            C, at = q_BHCK.shape[2], start + stride * first
            end, seen = (W, at + C) if causal else (W - stride * first, S)
            begin = end - (seen + 1 if causal else S + stride * C)
            position_BHCK = (q_BHCK + self.position_H1K) * self.head_dim**-0.5
            scores_BHCS = shifted(position_BHCK @ r_HWK[:, begin:end].mT, seen, stride)
            # In place: a copy of the scores would take a twentieth of the total time.
            if aside:
                scores_BHCS[..., 0] = 0
                if first == 0:
                    scores_BHCS[:, :, 0] = 0
            if causal and C > 1:
                later_Cx = torch.ones(C, C - 1, dtype=torch.bool, device=q_BHCK.device).triu_()
                scores_BHCS[..., at + 1 :].masked_fill_(later_Cx, -torch.inf)
            elif valid_BS is not None:
                scores_BHCS.masked_fill_(~valid_BS[:, None, None], lowest(scores_BHCS))
            k_BHSK_, v_BHSK_ = k_BHSK[:, :, :seen], v_BHSK[:, :, :seen]
            content_BHCK = q_BHCK + self.content_H1K
            outs.append(
                scaled_dot_product_attention(content_BHCK, k_BHSK_, v_BHSK_, attn_mask=scores_BHCS)
            )
        return torch.cat(outs, dim=2)


def shifted(x_BHCW: Tensor, keys: int, stride: int = 1) -> Tensor:
    """Row i, column j of the result is x[i, stride (C - 1 - i) + j]: a view of a contiguous x.

    Where that column does not exist, the result is another element of x. On CUDA it is a copy: a
    mask has to start at a multiple of 16 bytes there.
    """
    C, W = x_BHCW.shape[2:]
    flat_BHx = x_BHCW.flatten(2)[:, :, stride * (C - 1) :][:, :, : C * (W - stride)]
    found_BHCS = flat_BHx.view(*x_BHCW.shape[:3], W - stride)[..., :keys]
    if device_type(x_BHCW) == "cuda":
        return found_BHCS.clone(memory_format=torch.contiguous_format)
    return found_BHCS


def by_distance(label_xCL: Tensor, clip: int, looks: int, reach: int) -> Tensor:
    """The terms (..., C, S) of C consecutive queries, for slots that start `reach` before query 0.

    Term l of a query, from 0 to 2 `clip`, is for the distance l - clip; larger distances use the
    first or last term.
    """
    *x, C, _ = label_xCL.shape
    low, high = 1 - C - reach, looks - 1 - reach  # distances from low to high
    below_xCD = label_xCL[..., :1].expand(*x, C, max(0, -clip - low))
    some_xCD = label_xCL[..., max(0, clip + low) : clip + 1 + min(clip, high)]
    above_xCD = label_xCL[..., 2 * clip : 2 * clip + 1].expand(*x, C, max(0, high - clip))
    wide_xCE = torch.cat([below_xCD, some_xCD, above_xCD], dim=-1)
    if C == 1:
        return wide_xCE
    # Query c's terms start at C - 1 - c, so they are rows that are one shorter, without a copy.
    ends_x = wide_xCE.flatten(-2)[..., C - 1 :][..., : C * (high - low)]
    return ends_x.view(*x, C, high - low)[..., :looks]
