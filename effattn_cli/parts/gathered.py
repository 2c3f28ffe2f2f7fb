"""Attention of each query to a few tokens at given positions, different for every query.

Rows are gathered for some queries at a time, forward and backward, so that no more than a piece of
them is ever stored.

P positions of a query, G kv heads, E width of a row. N queries of a piece, R of a kv head.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from effattn_cli.attention import Input
from effattn_cli.parts import fused
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.exact import exact, one_query
from effattn_cli.parts.latent_attention import UpProjection
from effattn_cli.parts.lse_merge import hide, of_sink, with_sink
from effattn_cli.parts.precision import wide

CACHED = 2**20  # gathered elements per piece, so that they fit in a CPU's caches
AT_ONCE = 2**27  # gathered elements per piece on other devices


class KeysAndValues(nn.Module):
    """Keys and values of kv heads: each attended token has a row of both per kv head."""

    inputs: ClassVar = {"q": Input(), "k": Input("kv_heads"), "v": Input("kv_heads")}

    def causal(self, q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor) -> Tensor:
        """Attention to all tokens up to the query."""
        return exact(q_BHTK, k_BGTK, v_BGTK, causal=True)

    def at(self, position_BTP: Tensor, q_BHTK: Tensor, *kv: Tensor, some: bool = False) -> Tensor:
        """Attention to the tokens at each query's positions, some of which may be none."""
        return gathered(q_BHTK, kv, position_BTP, q_BHTK.shape[3] ** -0.5, some=some)

    def now(self, q_BHK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor) -> Tensor:
        """Attention of one query to all given tokens."""
        return one_query(q_BHK, k_BGSK, v_BGSK)


class Latents(nn.Module):
    """Rows shared by all heads, of a latent and a part rotated by position, as in `mla`.

    For the first queries, keys and values are expanded; the others use the rows as they are.
    """

    inputs: ClassVar = {"q": Input(width="query_width"), "latent": Input(None, "row_width")}

    def __init__(self, heads: int, latent: int, width: int, *, norm: bool) -> None:
        super().__init__()
        self.up = UpProjection(heads, latent, width, width)
        self.norm = nn.RMSNorm(latent, eps=1e-6) if norm else None

    def rotated(
        self, q_BHTK: Tensor, row_BTE: Tensor, turn: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, ...]:
        """What a layer does to its projections; `turn` rotates their last dimensions."""
        width, C = self.up.key_HCN.shape[2], self.up.latent
        assert self.norm is not None
        q = q_BHTK[..., :width], turn(q_BHTK[..., width:])
        row = self.norm(row_BTE[..., :C]), turn(row_BTE[..., C:])
        return torch.cat(q, dim=-1), torch.cat(row, dim=-1)

    def causal(self, q_BHTK: Tensor, row_BTE: Tensor) -> Tensor:
        return self.up.expanded(q_BHTK, row_BTE, causal=True)

    def at(
        self, position_BTP: Tensor, q_BHTK: Tensor, row_BTE: Tensor, *, some: bool = False
    ) -> Tensor:
        width, scale = self.up.key_HCN.shape[2], q_BHTK.shape[3] ** -0.5
        latent_BHTC = q_BHTK[..., :width] @ self.up.key_HCN.mT
        q_BHTE = torch.cat([latent_BHTC, q_BHTK[..., width:]], dim=-1)
        mixed_BHTE = gathered(q_BHTE, [row_BTE.unsqueeze(1)], position_BTP, scale, some=some)
        return mixed_BHTE[..., : self.up.latent] @ self.up.value_HCV

    def now(self, q_BHK: Tensor, row_BxSE: Tensor) -> Tensor:
        return self.up.one_query(q_BHK, row_BxSE.squeeze(1))


def gathered(
    q_BHTE: Tensor,
    sources: Sequence[Tensor],
    position_BTP: Tensor,
    scale: float,
    sink_H: Tensor | None = None,
    *,
    some: bool = False,
) -> Tensor:
    """softmax(scale q k^T) v over the rows of k and v at each query's positions, (B, H, T, E).

    The sources are k (B, G, S, E) and v (B, G, S, E), or one that is both. With `some`, a position
    below 0 means none. A sink is an additional logit, whose value is 0.
    """
    # Rows are gathered, so they must be laid out in memory as (B, S, G, E).
    tensors = [x.transpose(1, 2).contiguous() for x in (q_BHTE, *sources)]
    learned = [x for x in (*tensors, sink_H) if x is not None and x.requires_grad]
    if torch.is_grad_enabled() and learned:
        run: Any = _Gathered.apply
        return run(position_BTP, scale, some, sink_H, *tensors).transpose(1, 2)
    return _mixed(position_BTP, scale, some, sink_H, tensors)[0].transpose(1, 2)


class _Gathered(torch.autograd.Function):
    """Gathers again in the backward pass instead of storing P rows for each query."""

    @staticmethod
    def forward(
        ctx: Any,
        position_BTP: Tensor,
        scale: float,
        some: bool,  # noqa: FBT001
        sink_H: Tensor | None,
        *tensors: Tensor,
    ) -> Tensor:
        out_BTHE, sum_BTH1 = _mixed(position_BTP, scale, some, sink_H, tensors)
        ctx.scale, ctx.some = scale, some
        ctx.save_for_backward(position_BTP, sink_H, out_BTHE, sum_BTH1, *tensors)
        return out_BTHE

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        position_BTP, sink_H, out_BTHE, sum_BTH1, q_BTHE, *sources = ctx.saved_tensors
        to_q_BTHE = torch.empty_like(q_BTHE)
        totals = [torch.zeros_like(x.flatten(0, 1), dtype=wide(x).dtype) for x in sources]
        of_q = grads[0].contiguous(), q_BTHE, out_BTHE, sum_BTH1.squeeze(3), to_q_BTHE
        pieces = _pieces(position_BTP, sources, *of_q, some=ctx.some, held=2)
        for row_NP, mask, taken, grad, q, out, sums, into_NGRE in pieces:
            back: Any = fused.backward_of_one if len(sources) == 1 else fused.backward
            to_q_NGRE, *of_rows = back(grad, q, *taken, out, sums, mask, scale=ctx.scale)
            into_NGRE.copy_(to_q_NGRE)
            row_M = row_NP.flatten().long()
            for total, to_NGPE in zip(totals, of_rows, strict=True):
                rows = to_NGPE.transpose(1, 2).reshape(-1, *total.shape[1:])
                total.index_add_(0, row_M, rows.to(total.dtype))
        to_sink_H = None if sink_H is None else of_sink(sink_H, grads[0], out_BTHE, sum_BTH1)
        to_sources = (x.to(s.dtype).view_as(s) for x, s in zip(totals, sources, strict=True))
        return None, None, None, to_sink_H, to_q_BTHE, *to_sources


def _mixed(
    position_BTP: Tensor,
    scale: float,
    some: bool,  # noqa: FBT001
    sink_H: Tensor | None,
    tensors: Sequence[Tensor],
) -> tuple[Tensor, Tensor]:
    """The output (B, T, H, E), and the log-sum-exp (B, T, H, 1)."""
    q_BTHE, *sources = tensors
    out_BTHE = torch.empty_like(q_BTHE)
    sum_BTH1 = torch.empty_like(q_BTHE[..., :1], dtype=wide(q_BTHE).dtype)
    of_q = q_BTHE, out_BTHE, sum_BTH1.squeeze(3)
    for _, mask, taken, q_NGRE, into_NGRE, sum_NGR in _pieces(
        position_BTP, sources, *of_q, some=some
    ):
        out_NGRE, log_NGR = fused.forward(q_NGRE, taken[0], taken[-1], mask, scale=scale)
        into_NGRE.copy_(out_NGRE)
        sum_NGR.copy_(log_NGR)
    return (out_BTHE, sum_BTH1) if sink_H is None else with_sink(out_BTHE, sum_BTH1, sink_H)


def _pieces(
    position_BTP: Tensor, sources: Sequence[Tensor], *of_queries: Tensor, some: bool, held: int = 1
) -> Iterator[tuple[Any, ...]]:
    """For one piece of the queries after another: the indices of their rows among those of all
    sequences, a mask of the positions that exist, the rows (N, G, P, E) of each source, and the
    queries' own tensors, (N, G, R, ...) each. `held`: how many copies of the rows are stored at
    once.
    """
    B, T, P = position_BTP.shape
    S, G = sources[0].shape[1:3]
    numbers = CACHED if pieces_pay(position_BTP) else AT_ONCE
    size = max(1, numbers // (held * P * sum(x[0, 0].numel() for x in sources)))
    first_B = torch.arange(0, B * S, S, dtype=position_BTP.dtype, device=position_BTP.device)
    tables = [x.flatten(0, 1).flatten(1) for x in sources]
    by_group = (x.flatten(0, 1).unflatten(1, (G, -1)) for x in of_queries)
    first_BT1 = first_B[:, None].expand(B, T).reshape(-1, 1)
    split = (torch.split(x, size) for x in (position_BTP.reshape(B * T, P), first_BT1, *by_group))
    for position_NP, first_N1, *rest in zip(*split, strict=True):
        mask = None
        if some:
            mask = hide(position_NP < 0, of_queries[0])[:, None, None]
            position_NP = position_NP.clamp(min=0)  # noqa: PLW2901
        row_NP = position_NP + first_N1 if B > 1 else position_NP
        taken = (
            embedding(row_NP, table).view(*row_NP.shape, G, -1).transpose(1, 2) for table in tables
        )
        yield row_NP, mask, [*taken], *rest
