"""Dilated attention: every R-th token within segments, for several segment lengths and strides.

In each segment of W tokens, head h of a pattern (W, R) picks every R-th token from offset h mod R
on, as queries and as keys. The patterns of a query are merged by log-sum-exp, so that a key that
occurs in several gets the sum of its weights. The picked tokens are dense, and torch's fused
kernels do the rest, forward and backward.

Z segments, S tokens that a head picks in each, J heads, X = B Z.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from effattn_cli.parts import fused
from effattn_cli.parts.lse_merge import hide, take_in
from effattn_cli.parts.precision import wide

Pattern = tuple[int, int]  # tokens of a segment, and the stride between picked tokens


@dataclass(frozen=True)
class _How:
    patterns: tuple[Pattern, ...]
    causal: bool
    valid_BT: Tensor | None


def dilated(
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    valid_BT: Tensor | None = None,
    *,
    patterns: Sequence[Pattern],
    causal: bool,
) -> Tensor:
    """softmax(q k^T / sqrt K) v over the keys of all patterns; the first picks every token."""
    tensors = [x.transpose(1, 2).contiguous() for x in (q_BHTK, k_BHTK, v_BHTK)]
    # Right padding: no real query sees it in the causal form.
    how = _How(tuple(patterns), causal, None if causal else valid_BT)
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        merge: Any = _Dilated.apply
        return merge(how, *tensors).transpose(1, 2)
    return _merged(how, *tensors)[0].transpose(1, 2)


class _Dilated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, how: _How, *tensors: Tensor) -> Tensor:
        out_BTHK, total_BTHx = _merged(how, *tensors)
        ctx.how = how
        ctx.save_for_backward(*tensors, out_BTHK, total_BTHx)
        return out_BTHK

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out_BTHK, total_BTHx = ctx.saved_tensors
        whole = grads[0].contiguous(), q, k, v, out_BTHK
        totals = [torch.empty_like(x) for x in (q, k, v)]
        for part in _parts(ctx.how, q):
            folded = [part.take(x).transpose(1, 2) for x in whole]
            log_sum_XJS = part.take(total_BTHx).squeeze(-1).transpose(1, 2)
            mask = part.mask(ctx.how.valid_BT, q)
            pieces = fused.backward(
                folded[0], folded[1], folded[2], folded[3], folded[4], log_sum_XJS, mask,
                causal=ctx.how.causal, scale=q.shape[3] ** -0.5,
            )  # fmt: skip
            for total, piece in zip(totals, pieces, strict=True):
                part.put(total, piece.transpose(1, 2), add=True)
        return None, *totals


@dataclass(frozen=True)
class _Part:
    """Z consecutive segments of one length, and the S tokens that each head picks in them; J heads.

    Without `rows`, which index tokens and heads, it covers all tokens of the span and all heads.
    """

    span: slice
    shape: tuple[int, int]  # Z and S
    rows: Tensor | None

    def take(self, x_BTHE: Tensor) -> Tensor:
        """(X, S, J, E); a view if it covers everything."""
        B, _, H, E = x_BTHE.shape
        Z, S = self.shape
        if self.rows is None:
            return x_BTHE[:, self.span].reshape(B * Z, S, H, E)
        return x_BTHE.flatten(1, 2).index_select(1, self.rows).view(B * Z, S, -1, E)

    def put(self, x_BTHE: Tensor, new_XSJE: Tensor, *, add: bool = False) -> None:
        """A part that covers a whole span comes first: there is nothing to add to yet."""
        B, _, H, E = x_BTHE.shape
        if self.rows is None:
            x_BTHE[:, self.span] = new_XSJE.reshape(B, -1, H, E)
            return
        x_BRE, new_BRE = x_BTHE.flatten(1, 2), new_XSJE.reshape(B, -1, E)
        (x_BRE.index_add_ if add else x_BRE.index_copy_)(1, self.rows, new_BRE)

    def mask(self, valid_BT: Tensor | None, q_BTHK: Tensor) -> Tensor | None:
        """(X, J or 1, 1, S), to add to scores."""
        if valid_BT is None:
            return None
        Z, S = self.shape
        seen = valid_BT[:, self.span if self.rows is None else self.rows // q_BTHK.shape[2]]
        lost_XJxS = ~seen.reshape(len(seen) * Z, S, -1).mT.unsqueeze(2)
        return hide(lost_XJxS.contiguous(), q_BTHK)


def _parts(how: _How, x_BTHE: Tensor) -> Iterator[_Part]:
    """For each pattern its whole segments, then the last, where some heads may pick one more."""
    _, tokens, heads, _ = x_BTHE.shape
    for segment, stride in how.patterns:
        whole, rest = divmod(tokens, segment)
        end, more = whole * segment, rest % stride
        late = [head for head in range(heads) if head % stride >= more]
        early = [head for head in range(heads) if head % stride < more]
        for span, shape, some in (
            (slice(0, end), (whole, segment // stride), range(heads)),
            (slice(end, tokens), (1, rest // stride + 1), early),
            (slice(end, tokens), (1, rest // stride), late),
        ):
            if 0 not in shape and some:
                pattern = segment, stride
                rows = None if stride == 1 else _rows(span.start, shape, pattern, some, x_BTHE)
                yield _Part(span, shape, rows)


def _rows(
    first: int, shape: tuple[int, int], pattern: Pattern, some: Sequence[int], x_BTHE: Tensor
) -> Tensor:
    """The rows of (T H) that the heads `some` pick, from the token `first` on."""
    segment, stride = pattern
    Z, S = (torch.arange(size, device=x_BTHE.device) for size in shape)
    of_J = torch.tensor(some, device=x_BTHE.device)
    at_ZSJ = first + segment * Z[:, None, None] + stride * S[:, None] + of_J % stride
    return (at_ZSJ * x_BTHE.shape[2] + of_J).flatten()


def _merged(how: _How, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The output (B, T, H, K) and the log-sum-exp (B, T, H, 1)."""
    out_BTHK = torch.empty_like(q)
    total_BTHx = wide(q[..., :1]).contiguous()  # overwritten by the first pattern
    for part in _parts(how, q):
        folded = [part.take(x).transpose(1, 2) for x in (q, k, v)]
        out, log_sum = fused.forward(
            folded[0], folded[1], folded[2], part.mask(how.valid_BT, q),
            causal=how.causal, scale=q.shape[3] ** -0.5,
        )  # fmt: skip
        out_XSJK, total_XSJx = out.transpose(1, 2), log_sum.transpose(1, 2).unsqueeze(-1)
        if part.rows is not None:
            had_XSJK, had_XSJx = part.take(out_BTHK), part.take(total_BTHx)
            take_in(had_XSJK, had_XSJx, out_XSJK, total_XSJx)
            out_XSJK, total_XSJx = had_XSJK, had_XSJx
        part.put(out_BTHK, out_XSJK)
        part.put(total_BTHx, total_XSJx)
    return out_BTHK, total_BTHx
