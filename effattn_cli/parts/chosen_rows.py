"""Entries that each query chooses by an indexer, and attention over them and a window.

An entry is key and value of all heads, and all heads choose the same. What queries see is gathered
for few of them at a time; training keeps the choice, and gathers again.

I heads of the indexer, X their width; N entries of a choice, Z of all; C queries of a piece, each
with S = W + N rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.lse_merge import Part, hide, of_sink, with_sink
from effattn_cli.parts.precision import wide

CACHED = 2**20  # gathered numbers at a time that stay in the caches of a CPU
RATED = 2**22  # numbers of the indexer at a time, which are read soon or not again
AT_ONCE = 2**26  # numbers at a time elsewhere
FEWEST = 16  # queries of a piece
TIE = 1e-30  # far below any rating but 0


def ratings(q_BCIX: Tensor, weight_BCI: Tensor, key_BZX: Tensor) -> Tensor:
    """sum_i w_i relu(q_i k), (B, C, Z). Of entries that no head sees, a later one has less."""
    Z = key_BZX.shape[1]
    seen_BLZ = wide((q_BCIX.flatten(1, 2) @ key_BZX.mT).relu_())
    weight_YxI = weight_BCI.flatten(0, 1).unsqueeze(1).to(seen_BLZ.dtype)
    seen_YIZ = seen_BLZ.view(*weight_YxI.shape[::2], Z)
    behind_Z = torch.arange(Z, device=key_BZX.device).to(seen_BLZ.dtype) * -TIE
    return torch.baddbmm(behind_Z, weight_YxI, seen_YIZ).view(*weight_BCI.shape[:2], Z)


@torch.no_grad()
def choices(
    q_BTIX: Tensor, weight_BTI: Tensor, key_BZX: Tensor, *, first: int, ratio: int, top: int
) -> Tensor:
    """The N entries of the highest ratings, (B, T, N), of the queries from `first` on.

    Query t sees the entries below (t + 1) // R, which are N at least.
    """
    made = []
    numbers = weight_BTI[:, 0].numel() * key_BZX.shape[1]
    for start, end in _pieces(q_BTIX, numbers, RATED, first):
        sure, seen = (start + 1) // ratio, end // ratio  # of the first query, and of the last
        at = slice(start, end)
        rating_BCZ = ratings(q_BTIX[:, at], weight_BTI[:, at], key_BZX[:, :seen])
        reach_C1 = torch.arange(start + 1, end + 1, device=q_BTIX.device)[:, None] // ratio
        later_CZ = torch.arange(sure, seen, device=q_BTIX.device) >= reach_C1
        rating_BCZ[:, :, sure:].masked_fill_(later_CZ, -torch.inf)
        made.append(rating_BCZ.topk(top, sorted=False).indices.int())
    return torch.cat(made, dim=1)


def _pieces(x_BTHK: Tensor, numbers: int, cached: int, first: int = 0) -> Iterator[tuple[int, int]]:
    """The tokens from `first` on, as many at a time as so many numbers of each allow."""
    tokens = max(FEWEST, (cached if pieces_pay(x_BTHK) else AT_ONCE) // numbers)
    for start in range(first, x_BTHK.shape[1], tokens):
        yield start, min(start + tokens, x_BTHK.shape[1])


def near_and_chosen(
    q_BTHK: Tensor,
    row_BRK: Tensor,
    entry_BZK: Tensor,
    choice_BTN: Tensor,
    *,
    window: int,
    sink_H: Tensor,
) -> Tensor:
    """softmax(q k^T / sqrt K, sink) k over the W rows up to the query and the entries of its
    choice, (B, T, H, K). Queries are those of the last rows; a sink has the value 0.
    """
    tokens = row_BRK.shape[1]
    chosen = Chosen(choice_BTN, tokens, min(window, tokens))
    given = sink_H, q_BTHK, torch.cat([row_BRK, entry_BZK], dim=1)
    if torch.is_grad_enabled() and any(x.requires_grad for x in given):
        run: Any = _NearAndChosen.apply
        return run(chosen, *given)
    return _attended(chosen, *given)[0]


@dataclass(frozen=True)
class Chosen:
    """What the queries of the last of `tokens` rows see, behind which the entries stand."""

    choice_BTN: Tensor
    tokens: int
    window: int

    def pieces(
        self, q_BTHK: Tensor, held: int = 1
    ) -> Iterator[tuple[int, slice, Tensor, Tensor | None]]:
        """A sequence, some of its queries, their rows (C, S), and a mask where there are fewer.

        `held`: how many times what is gathered is held at once.
        """
        B, T, _, K = q_BTHK.shape
        window_W = torch.arange(self.window, device=q_BTHK.device, dtype=torch.int32)
        numbers = (self.window + self.choice_BTN.shape[2]) * K * held
        for start, end in _pieces(q_BTHK, numbers, CACHED):
            first = self.tokens - T + start
            at_C1 = torch.arange(first, first + end - start, device=q_BTHK.device)[:, None]
            near_CW = at_C1.int() - window_W
            for sequence in range(B):
                far_CN = self.choice_BTN[sequence, start:end] + self.tokens
                place_CS, mask = torch.cat([near_CW, far_CN], dim=1), None
                if first < self.window - 1:
                    mask = hide(place_CS < 0, q_BTHK)[:, None, None]
                    place_CS = place_CS.clamp(min=0)
                yield sequence, slice(start, end), place_CS, mask


class _NearAndChosen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, chosen: Chosen, *given: Tensor) -> Tensor:
        out_BTHK, sum_BTH1 = _attended(chosen, *given)
        ctx.chosen = chosen
        ctx.save_for_backward(*given, out_BTHK, sum_BTH1)
        return out_BTHK

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        sink_H, q_BTHK, row_BRK, out_BTHK, sum_BTH1 = ctx.saved_tensors
        (grad_BTHK,), (H, K) = grads, q_BTHK.shape[2:]
        to_q_BTHK = torch.empty_like(q_BTHK)
        to_row_BRK = torch.zeros_like(row_BRK, dtype=wide(row_BRK).dtype)
        inner_BTH1 = (wide(grad_BTHK) * out_BTHK).sum(-1, keepdim=True)
        for b, at, place_CS, mask in ctx.chosen.pieces(q_BTHK, held=2):
            k_CSK = row_BRK[b].index_select(0, place_CS.flatten()).view(*place_CS.shape, K)
            both_CLK = torch.cat([q_BTHK[b, at] * K**-0.5, grad_BTHK[b, at]], dim=1)
            score_CHS, slope_CHS = wide(both_CLK @ k_CSK.mT).split(H, dim=1)
            score_CHS = score_CHS if mask is None else score_CHS + mask.squeeze(1)
            weight_CHS = (score_CHS - sum_BTH1[b, at]).exp_()
            slope_CHS = (slope_CHS - inner_BTH1[b, at]).mul_(weight_CHS)
            back_CLS = torch.cat([slope_CHS, weight_CHS], dim=1).to(k_CSK.dtype)
            to_q_BTHK[b, at] = (back_CLS[:, :H] @ k_CSK).mul_(K**-0.5)
            to_k_YK = wide(back_CLS.mT @ both_CLK).flatten(0, 1)
            place_YK = place_CS.flatten().long()[:, None].expand(-1, K)
            to_row_BRK[b].scatter_add_(0, place_YK, to_k_YK)
        to_sink_H = of_sink(sink_H, grad_BTHK, out_BTHK, sum_BTH1)
        return None, to_sink_H, to_q_BTHK, to_row_BRK.to(row_BRK.dtype)


def _attended(
    chosen: Chosen, sink_H: Tensor, q_BTHK: Tensor, row_BRK: Tensor
) -> tuple[Tensor, Tensor]:
    """The output (B, T, H, K), and the log of the sum of exponentials (B, T, H, 1)."""
    out_BTHK = torch.empty_like(q_BTHK)
    sum_BTH1 = torch.empty_like(q_BTHK[..., :1], dtype=wide(q_BTHK).dtype)
    for b, at, place_CS, mask in chosen.pieces(q_BTHK):
        k_CSK = row_BRK[b].index_select(0, place_CS.flatten()).view(*place_CS.shape, -1)
        of_q = q_BTHK[b, at].unsqueeze(1), k_CSK.unsqueeze(1), k_CSK.unsqueeze(1)
        out_CxHK, sum_CxH = Part(mask=mask).attend(*of_q)
        out_BTHK[b, at], sum_BTH1[b, at] = out_CxHK.squeeze(1), sum_CxH.view(-1, len(sink_H), 1)
    return with_sink(out_BTHK, sum_BTH1, sink_H)
