"""How many queries to score at once, if all N x N scores would be too many."""

from collections.abc import Callable

import torch
from torch import Tensor

from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.precision import lowest

CACHED = 2**20  # scores per piece, so that they fit in a CPU's caches
AT_ONCE = 2**27  # scores per piece on other devices
LEAST = 64  # queries that are worth a kernel call


def rows_at_once(q_BHTK: Tensor, keys: int, min_rows: int | None = None) -> int:
    B, H, T, _ = q_BHTK.shape
    scores = CACHED if pieces_pay(q_BHTK) else AT_ONCE
    return min(T, max(min_rows or LEAST, scores // (B * H * keys)))


def by_rows(
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    valid_BT: Tensor | None,
    *,
    causal: bool,
    logits: Callable[[Tensor, Tensor, int], Tensor],
    weigh: Callable[[Tensor], Tensor],
    min_rows: int | None = None,
) -> Tensor:
    """weigh(logits) v, one block of queries after another; training stores all the weights.

    `logits` takes the queries of a block, the keys that they may see, and the first one's position.
    The logits passed to `weigh` are -inf where hidden, or the lowest number for padding.
    """
    T, outs = q_BHTK.shape[2], []
    block = rows_at_once(q_BHTK, T, min_rows)
    for first in range(0, T, block):
        q_BHCK = q_BHTK[:, :, first : first + block]
        C = q_BHCK.shape[2]
        seen = first + C if causal else T
        logits_BHCS = logits(q_BHCK, k_BHTK[:, :, :seen], first)
        if causal:  # right padding: no real query sees it
            later_CS = torch.ones(C, seen, dtype=torch.bool, device=q_BHCK.device)
            logits_BHCS = logits_BHCS.masked_fill(later_CS.triu_(first + 1), -torch.inf)
        elif valid_BT is not None:
            logits_BHCS = logits_BHCS.masked_fill(~valid_BT[:, None, None], lowest(logits_BHCS))
        outs.append(weigh(logits_BHCS) @ v_BHTK[:, :, :seen])
    return torch.cat(outs, dim=2)


def capped(
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    valid_BT: Tensor | None,
    *,
    cap: float,
    causal: bool,
) -> Tensor:
    """Softmax attention whose scores are soft-capped, as in Gemma 2."""

    def logits(q_BHCK: Tensor, k_BHSK: Tensor, _: int) -> Tensor:
        return cap * torch.tanh((q_BHCK * (q_BHCK.shape[-1] ** -0.5 / cap)) @ k_BHSK.mT)

    def weigh(logits_BHCS: Tensor) -> Tensor:
        return logits_BHCS.softmax(-1)

    return by_rows(q_BHTK, k_BHTK, v_BHTK, valid_BT, causal=causal, logits=logits, weigh=weigh)
