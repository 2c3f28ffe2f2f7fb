"""Attention over rows that are key and value of all heads: nearby rows, and earlier entries.

Heads are folded into the queries: a row is multiplied with a matrix of all heads of many tokens,
and its gradient is one for all heads. Scores are never materialised: see `lse_merge`.

W rows of a window, R tokens of an entry, G entries of a group of queries; Y blocks of C queries,
each with S keys. L rows of a matrix: the heads of the queries, one after the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from effattn_cli.parts.lse_merge import Part, hide, of_sink, take_in, with_sink
from effattn_cli.parts.precision import wide

MASK = 2**18  # elements of the mask of a group


@dataclass(frozen=True)
class Look:
    """Queries of a span, in consecutive blocks, each with `size` keys of a span of rows or entries.

    The keys of consecutive blocks are `step` apart; all blocks share the mask.
    """

    queries: slice
    keys: slice
    size: int
    step: int
    mask_LS: Tensor | None = None
    before: bool = False  # keys are entries, not rows

    def folded_queries(self, x_BTHE: Tensor, blocks: int) -> Tensor:
        """(Y, B, L, E), a view."""
        of_span = x_BTHE[:, self.queries]
        return of_span.reshape(len(of_span), blocks, -1, of_span.shape[-1]).transpose(0, 1)

    def folded_keys(self, row_BTK: Tensor, entry_BZK: Tensor) -> Tensor:
        """(Y, B, S, K), a view in which blocks overlap."""
        x_BSK = entry_BZK if self.before else row_BTK
        return x_BSK[:, self.keys].unfold(1, self.size, self.step).permute(1, 0, 3, 2)

    def add(self, total_BSK: Tensor, grad_YBSK: Tensor) -> None:
        """Adds the gradient of the keys of all blocks."""
        into_BSK, blocks = total_BSK[:, self.keys], len(grad_YBSK)
        for start in range(0, self.size, self.step):
            piece_YBCK = grad_YBSK[:, :, start : start + self.step]
            end = start + blocks * piece_YBCK.shape[2]
            into_BSK[:, start:end] += piece_YBCK.transpose(0, 1).flatten(1, 2)


def near_and_before(
    q_BTHK: Tensor, row_BTK: Tensor, entry_BZK: Tensor, *, ratio: int, window: int, sink_H: Tensor
) -> Tensor:
    """softmax(q k^T / sqrt K, sink) k over the W rows up to the query and all entries before it,
    (B, T, H, K): query t sees the entries below (t + 1) // R, and a sink, whose value is 0.
    """
    T = q_BTHK.shape[1]
    looks = [*_near(q_BTHK, min(window, T)), *_before(q_BTHK, entry_BZK.shape[1], ratio)]
    given = sink_H, q_BTHK.contiguous(), row_BTK, entry_BZK
    if torch.is_grad_enabled() and any(x.requires_grad for x in given):
        run: Any = _NearAndBefore.apply
        return run(tuple(looks), *given)
    return _attended(looks, *given)[0]


def _near(q_BTHK: Tensor, window: int) -> Iterator[Look]:
    """Each block sees itself and the blocks before it that the window reaches.

    The first blocks, which have fewer before them, get separate looks, and so does the remainder at
    the end; all use the same mask, or a part of it.
    """
    T, H = q_BTHK.shape[1:3]
    block = 16 * min(max(1, window // 64), 8)  # as in `banded`: a fifth of the scores is unused
    behind = -(-(window - 1) // block) * block
    at_C1 = torch.arange(block, device=q_BTHK.device)[:, None]
    away_CS = at_C1 + behind - torch.arange(behind + block, device=q_BTHK.device)
    mask_LS = hide((away_CS < 0) | (away_CS >= window), q_BTHK).repeat_interleave(H, 0)
    early = min(behind, T)
    end = T - (T - early) % block
    for start in range(0, early, block):
        stop = min(start + block, early)
        rows, keys = slice((stop - start) * H), slice(behind - start, behind - start + stop)
        yield Look(slice(start, stop), slice(stop), stop, stop, mask_LS[rows, keys])
    if end > early:
        keys = slice(early - behind, end)
        yield Look(slice(early, end), keys, behind + block, block, mask_LS)
    if end < T:
        rest, seen = T - end, behind + T - end
        yield Look(slice(end, T), slice(T - seen, T), seen, seen, mask_LS[: rest * H, :seen])


def _before(q_BTHK: Tensor, entries: int, ratio: int) -> Iterator[Look]:
    """Queries see entries in groups: G R queries and their G entries at a time.

    Query R - 1 + r sees the entries up to r // R: some of its own group, by a mask that all groups
    share, and all of those before its group.
    """
    T, H = q_BTHK.shape[1:3]
    if not entries:
        return
    group = max(1, int((MASK / (ratio * H)) ** 0.5))
    size, first = group * ratio, ratio - 1
    full = (T - first) // size
    end, seen, rest = first + full * size, full * group, entries - full * group
    at_Q1 = torch.arange(min(size, T - first), device=q_BTHK.device)[:, None]
    later_QG = torch.arange(group, device=q_BTHK.device) > at_Q1 // ratio
    mask_LG = hide(later_QG, q_BTHK).repeat_interleave(H, 0)
    if full:
        yield Look(slice(first, end), slice(0, seen), group, group, mask_LG, before=True)
    if rest:
        own_LG = mask_LG[: (T - end) * H, :rest]
        yield Look(slice(end, T), slice(seen, entries), rest, rest, own_LG, before=True)
    for start in range(first + size, T, size):
        past = (start - first) // ratio
        yield Look(slice(start, min(start + size, T)), slice(0, past), past, past, before=True)


class _NearAndBefore(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, looks: tuple[Look, ...], *given: Tensor) -> Tensor:
        out_BTHK, sum_BTH1 = _attended(looks, *given)
        ctx.looks = looks
        ctx.save_for_backward(*given, out_BTHK, sum_BTH1)
        return out_BTHK

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        sink_H, q_BTHK, row_BTK, entry_BZK, out_BTHK, sum_BTH1 = ctx.saved_tensors
        grad_BTHK = grads[0].contiguous()
        of_queries = q_BTHK, grad_BTHK, out_BTHK, sum_BTH1
        to_q_BTHK = torch.empty_like(q_BTHK)
        to_row_BTK, to_entry_BZK = (
            torch.zeros_like(x, dtype=wide(x).dtype) for x in (row_BTK, entry_BZK)
        )
        for look in ctx.looks:
            both = [look.folded_keys(row_BTK, entry_BZK)] * 2  # keys double as values
            of_q = [look.folded_queries(x, len(both[0])) for x in of_queries]
            to_q, to_k, to_v = Part(mask=look.mask_LS).gradients(*of_q, *both)
            into_BTHK = to_q_BTHK[:, look.queries]
            to_q = to_q.transpose(0, 1).reshape(into_BTHK.shape)
            into_BTHK.add_(to_q) if look.before else into_BTHK.copy_(to_q)
            look.add(to_entry_BZK if look.before else to_row_BTK, to_k.add_(to_v))
        to_sink_H = of_sink(sink_H, grad_BTHK, out_BTHK, sum_BTH1)
        narrow = to_row_BTK.to(row_BTK.dtype), to_entry_BZK.to(entry_BZK.dtype)
        return None, to_sink_H, to_q_BTHK, *narrow


def _attended(
    looks: Sequence[Look], sink_H: Tensor, q_BTHK: Tensor, row_BTK: Tensor, entry_BZK: Tensor
) -> tuple[Tensor, Tensor]:
    """The output (B, T, H, K), and the log-sum-exp (B, T, H, 1)."""
    out_BTHK = torch.empty_like(q_BTHK)
    sum_BTH1 = torch.empty_like(q_BTHK[..., :1], dtype=wide(q_BTHK).dtype)
    for look in looks:
        k_YBSK = look.folded_keys(row_BTK, entry_BZK)
        q_YBLK = look.folded_queries(q_BTHK, len(k_YBSK))
        more, log_sum = Part(mask=look.mask_LS).attend(q_YBLK, k_YBSK, k_YBSK)
        had_BTHK, had_BTH1 = out_BTHK[:, look.queries], sum_BTH1[:, look.queries]
        more_BTHK = more.transpose(0, 1).reshape(had_BTHK.shape)
        more_BTH1 = log_sum.transpose(0, 1).reshape(had_BTH1.shape)
        if look.before:
            take_in(had_BTHK, had_BTH1, more_BTHK, more_BTH1)
        else:
            had_BTHK.copy_(more_BTHK)
            had_BTH1.copy_(more_BTH1)
    return with_sink(out_BTHK, sum_BTH1, sink_H)
