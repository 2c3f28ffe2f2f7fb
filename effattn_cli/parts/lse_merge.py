"""One softmax over keys that are reached in several ways, merged by log-sum-exp.

A part is a set of queries and the keys that they see, folded so that one fused call computes it.
The parts of a query have different keys. With o_p and l_p the output and log-sum-exp of part p,
o = sum_p e^(l_p - l) o_p and l = log sum_p e^(l_p). Scores are never materialised: forward and
backward run torch's fused kernels, and the kernels' backward, given the merged o and l, returns the
gradient of the whole. Tensors are (B, T, H, E) in memory, where each fold is a view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from effattn_cli.parts import fused

Source = tuple[Tensor, Tensor]  # keys and values (B, H, S, K)
Span = tuple[int, int | None]  # start and end, as in a slice
ALL: Span = (0, None)


@dataclass(frozen=True)
class Part:
    """Rows `q` of the queries see rows `k` of a source.

    Both are cut into consecutive `blocks`, which see only their counterparts, and each of these
    into `columns` of every `columns`-th token. The remaining axis may be `causal`, or have a `mask`
    added to its scores.
    """

    q: Span = ALL
    k: Span = ALL
    source: int = 0
    blocks: int = 1
    columns: int = 1
    causal: bool = False
    mask: Tensor | None = None

    def fold(self, x_BTHE: Tensor, rows: Span) -> Tensor:
        """(B Z, Y H, T / (Z Y), E) of Z blocks and Y columns."""
        B, _, H, E = x_BTHE.shape
        folded = x_BTHE[:, slice(*rows)].reshape(B * self.blocks, -1, self.columns * H, E)
        return folded.transpose(1, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """softmax(q k^T / sqrt K) v of folded inputs, and the log-sum-exp of each row."""
        scale = q.shape[-1] ** -0.5
        return fused.forward(q, k, v, self.mask, causal=self.causal, scale=scale)

    def gradients(
        self, q: Tensor, grad: Tensor, out: Tensor, log_sum1: Tensor, k: Tensor, v: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of q, k and v, given the output and the log-sum-exp of all parts."""
        scale, log_sum = q.shape[-1] ** -0.5, log_sum1.squeeze(-1)
        return fused.backward(
            grad, q, k, v, out, log_sum, self.mask, causal=self.causal, scale=scale
        )


def union(
    q_BHTK: Tensor,
    sources: Sequence[Source],
    parts: Sequence[Part],
    sink_H: Tensor | None = None,
) -> Tensor:
    """softmax(q k^T / sqrt K) v over the keys of all parts. The first part has every query.

    With a sink, each head has an additional logit, whose value is 0: it takes weight and adds
    nothing.
    """
    tensors = [x.transpose(1, 2) for x in (q_BHTK, *(x for source in sources for x in source))]
    learned = [x for x in (*tensors, sink_H) if x is not None and x.requires_grad]
    if torch.is_grad_enabled() and learned:
        merge: Any = _Union.apply
        return merge(tuple(parts), sink_H, *tensors).transpose(1, 2)
    return merged(parts, sink_H, tensors)[0].transpose(1, 2)


class _Union(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, parts: tuple[Part, ...], sink_H: Tensor | None, *tensors: Tensor
    ) -> Tensor:
        out_BTHK, sum_BTH1 = merged(parts, sink_H, tensors)
        ctx.parts = parts
        ctx.save_for_backward(sink_H, out_BTHK, sum_BTH1, *tensors)
        return out_BTHK

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        sink_H, out_BTHK, sum_BTH1, *tensors = ctx.saved_tensors
        totals: list[Tensor | None] = [None] * len(tensors)
        for part in ctx.parts:
            at = 1 + 2 * part.source
            of_q = [part.fold(x, part.q) for x in (tensors[0], *grads, out_BTHK, sum_BTH1)]
            of_k = [part.fold(x, part.k) for x in tensors[at : at + 2]]
            pieces = part.gradients(*of_q, *of_k)
            positions = ((0, part.q), (at, part.k), (at + 1, part.k))
            for (i, rows), piece in zip(positions, pieces, strict=True):
                totals[i] = added(totals[i], tensors[i], rows, piece)
        grad_H = None if sink_H is None else of_sink(sink_H, grads[0], out_BTHK, sum_BTH1)
        return None, grad_H, *totals


def hide(lost: Tensor, like: Tensor) -> Tensor:
    """A mask to add to scores: 0 where `lost` is False, close to -inf where it is True.

    Finite, so that a query with nothing to see gets no NaN; half the lowest number, so that a score
    can be added to it.
    """
    mask = torch.zeros(lost.shape, dtype=like.dtype, device=like.device)
    return mask.masked_fill(lost, torch.finfo(like.dtype).min / 2)


def merged(
    parts: Sequence[Part], sink_H: Tensor | None, tensors: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """The output (B, T, H, K) and the log-sum-exp (B, T, H, 1)."""
    out_BTHK = sum_BTH1 = tensors[0]  # overwritten by the first part
    for i, part in enumerate(parts):
        at = 1 + 2 * part.source
        k, v = (part.fold(x, part.k) for x in tensors[at : at + 2])
        out, log_sum = part.attend(part.fold(tensors[0], part.q), k, v)
        if i == 0:
            out_BTHK = out.transpose(1, 2).reshape(tensors[0].shape)
            sum_BTH1 = log_sum.transpose(1, 2).reshape(*out_BTHK.shape[:3], 1)
            continue
        had_BTHK, had_BTH1 = (x[:, slice(*part.q)] for x in (out_BTHK, sum_BTH1))
        more_BTHK = out.transpose(1, 2).reshape(had_BTHK.shape)
        more_BTH1 = log_sum.transpose(1, 2).reshape(had_BTH1.shape)
        take_in(had_BTHK, had_BTH1, more_BTHK, more_BTH1)
    return (out_BTHK, sum_BTH1) if sink_H is None else with_sink(out_BTHK, sum_BTH1, sink_H)


def take_in(out: Tensor, log_sum: Tensor, more: Tensor, more_log_sum: Tensor) -> None:
    """Merges further keys into an output and its log-sum-exp (..., 1), in place."""
    out.lerp_(more, torch.sigmoid(more_log_sum - log_sum).to(out.dtype))
    log_sum.copy_(torch.logaddexp(log_sum, more_log_sum))


def with_sink(out_BTHK: Tensor, sum_BTH1: Tensor, sink_H: Tensor) -> tuple[Tensor, Tensor]:
    """Adds a logit whose value is 0; writes into the output."""
    both_BTH1 = torch.logaddexp(sum_BTH1, sink_H[:, None].to(sum_BTH1.dtype))
    return out_BTHK.mul_((sum_BTH1 - both_BTH1).exp_().to(out_BTHK.dtype)), both_BTH1


def of_sink(sink_H: Tensor, grad_BTHK: Tensor, out_BTHK: Tensor, sum_BTH1: Tensor) -> Tensor:
    """The gradient of the sinks: a value of 0 replaces the mean, by the sink's weight."""
    weight_BTH = (sink_H - sum_BTH1.squeeze(-1)).exp()
    grad_H: Tensor = -(weight_BTH * (grad_BTHK * out_BTHK).sum(-1)).sum((0, 1))
    return grad_H.to(sink_H.dtype)


def added(total: Tensor | None, like_BTHE: Tensor, rows: Span, folded: Tensor) -> Tensor:
    """Adds a part's gradient to its rows."""
    if total is None and rows == ALL:
        return folded.transpose(1, 2).reshape(like_BTHE.shape)
    total = torch.zeros_like(like_BTHE) if total is None else total
    into = total[:, slice(*rows)]
    into += folded.transpose(1, 2).reshape(into.shape)
    return total
