"""One softmax over blocks of keys that each query picks, and over keys that many queries see.

Keys are not gathered for each query. The queries that picked a block are grouped into chunks, and
one fused call computes many chunks; the results of a query's blocks are merged by log-sum-exp, with
the kernels of `lse_merge`. Tensors are (B, T, H, E) in memory.

C tokens of a block, Z blocks of a sequence, Y of all, N picked by a query. X pickers: heads, or
groups of R heads that pick together; U of them in all sequences. M pairs of a query and a block. P
chunks, each of one block, with W positions for pairs. L rows: queries of heads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from effattn_cli.attention import Decodable
from effattn_cli.parts.blocks import even
from effattn_cli.parts.chunked import pieces_pay
from effattn_cli.parts.exact import exact, one_query
from effattn_cli.parts.hashing import by_bucket, owners
from effattn_cli.parts.lse_merge import Part, added, merged, union
from effattn_cli.parts.precision import wide

ROWS = 64  # queries of a chunk, counting each head: enough to keep a kernel busy
LEAST = 16  # pairs of a chunk
WAITING = 4  # results per query that wait to be merged
CACHED = 2**19  # gathered elements per piece, so that they fit in a CPU's caches
AT_ONCE = 2**27  # gathered elements per piece on other devices


def exact_until(
    first: int,
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    *,
    block: int,
    late: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """Causal: exact for the first queries, which see all blocks; `late` computes the others.

    `late` takes the queries from `first` on, and all keys and values, padded to whole blocks.
    """
    T = q_BHTK.shape[2]
    early_BHTK = exact(*(x[:, :, :first] for x in (q_BHTK, k_BGTK, v_BGTK)), causal=True)
    if first >= T:  # right padding: no real query sees it
        return early_BHTK
    late_BHTK = late(even(q_BHTK[:, :, first:], block), even(k_BGTK, block), even(v_BGTK, block))
    both = early_BHTK.transpose(1, 2), late_BHTK[:, :, : T - first].transpose(1, 2)
    return torch.cat(both, dim=1).transpose(1, 2)


def selected(
    q_BHTK: Tensor,
    k_BHSK: Tensor,
    v_BHSK: Tensor,
    pick_BXTN: Tensor,
    parts: Sequence[Part],
    *,
    block: int,
) -> Tensor:
    """softmax(q k^T / sqrt K) v over the keys of the parts and of the blocks that a query picks.

    The first part has every query. Picks must differ, so that a query sees each key once. All
    blocks are complete, and the heads of a group that picks together have the same keys.
    """
    if not pick_BXTN.shape[3]:
        return union(q_BHTK, [(k_BHSK, v_BHSK)], parts)
    tensors = [x.transpose(1, 2) for x in (q_BHTK, k_BHSK, v_BHSK)]
    tensors[0] = tensors[0].contiguous()  # its rows are gathered
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        run: Any = _Selected.apply
        return run(tuple(parts), pick_BXTN, block, *tensors).transpose(1, 2)
    return _attended(parts, pick_BXTN, block, tensors)[0].transpose(1, 2)


class _Selected(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, parts: tuple[Part, ...], pick_BXTN: Tensor, block: int, *tensors: Tensor
    ) -> Tensor:
        out_BTHK, sum_BTH1 = _attended(parts, pick_BXTN, block, tensors)
        ctx.parts, ctx.block = parts, block
        ctx.save_for_backward(pick_BXTN, out_BTHK, sum_BTH1, *tensors)
        return out_BTHK

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        pick_BXTN, out_BTHK, sum_BTH1, *tensors = ctx.saved_tensors
        of_q = [x.contiguous() for x in (tensors[0], grads[0], out_BTHK, sum_BTH1)]
        totals: list[Any] = [None, None, None]
        for part in ctx.parts:
            queries = [part.fold(x, part.q) for x in of_q]
            pieces = part.gradients(*queries, *(part.fold(x, part.k) for x in tensors[1:]))
            for i, rows in enumerate((part.q, part.k, part.k)):
                totals[i] = added(totals[i], tensors[i], rows, pieces[i])
        _add_gradients(totals, pick_BXTN, ctx.block, of_q, tensors[1:])
        return None, None, None, *totals


def _attended(
    parts: Sequence[Part], pick_BXTN: Tensor, block: int, tensors: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """The output (B, T, H, K), and the log-sum-exp (B, T, H, 1)."""
    q_BTHK, k_BSHK, v_BSHK = tensors
    X, K = pick_BXTN.shape[1], q_BTHK.shape[3]
    out_BTHK, sum_BTH1 = merged(parts, None, tensors)
    k_YCK, v_YCK = _blocks(k_BSHK, X, block), _blocks(v_BSHK, X, block)
    for plan in _plans(pick_BXTN, k_BSHK.shape[1] // block, q_BTHK.shape[2] // X):
        rows = plan.query_PW.numel() * (q_BTHK.shape[2] // X)
        more_LK, more_L = q_BTHK.new_empty(rows, K), sum_BTH1.new_empty(rows)
        for into, query_PW, _, block_P in plan.pieces(k_YCK, rows):
            q_PxLK = _taken(q_BTHK, X, query_PW)
            k_PxCK, v_PxCK = (x.index_select(0, block_P).unsqueeze(1) for x in (k_YCK, v_YCK))
            out_PxLK, sum_PxL = Part().attend(q_PxLK, k_PxCK, v_PxCK)
            more_LK[into], more_L[into] = out_PxLK.reshape(-1, K), sum_PxL.flatten()
        _merge(plan, out_BTHK, sum_BTH1, more_LK, more_L)
    return out_BTHK, sum_BTH1


def _merge(
    plan: "_Plan", out_BTHK: Tensor, sum_BTH1: Tensor, more_LK: Tensor, more_L: Tensor
) -> None:
    """Merges the results of the pairs into those of their queries."""
    had_BTHK, had_BTH1 = (x[:, plan.tokens] for x in (out_BTHK, sum_BTH1))
    position_LN = plan.positions(had_BTHK.shape[2])
    sum_LN = torch.cat([had_BTH1.reshape(-1, 1), more_L[position_LN]], dim=1)
    all_L1 = sum_LN.logsumexp(1, keepdim=True)
    weight_LN = (sum_LN - all_L1).exp().to(more_LK.dtype)
    mean_LK = embedding_bag(position_LN, more_LK, mode="sum", per_sample_weights=weight_LN[:, 1:])
    had_BTHK.mul_(weight_LN[:, :1].reshape(had_BTH1.shape)).add_(mean_LK.view(had_BTHK.shape))
    had_BTH1.copy_(all_L1.view(had_BTH1.shape))


def _add_gradients(
    totals: list[Tensor],
    pick_BXTN: Tensor,
    block: int,
    of_q: Sequence[Tensor],
    of_k: Sequence[Tensor],
) -> None:
    """Adds the gradients of the pairs to those of q, k and v (B, T, H, K)."""
    X, (H, K) = pick_BXTN.shape[1], of_q[0].shape[2:]
    of_YCK = [_blocks(x, X, block) for x in of_k]
    added_YCK = [torch.zeros_like(x, dtype=wide(x).dtype) for x in of_YCK]
    for plan in _plans(pick_BXTN, of_k[0].shape[1] // block, H // X):
        q_LK = of_q[0].new_empty(plan.query_PW.numel() * (H // X), K)
        for into, query_PW, empty_PW, block_P in plan.pieces(of_YCK[0], len(q_LK)):
            rows = [_taken(x, X, query_PW) for x in of_q]
            empty_PxL1 = empty_PW.repeat_interleave(H // X, 1)[:, None, :, None]
            rows[-1] = rows[-1].masked_fill(empty_PxL1, torch.inf)  # makes the weight of its keys 0
            keys = [x.index_select(0, block_P).unsqueeze(1) for x in of_YCK]
            q_PxLK, *grads = Part().gradients(*rows, *keys)
            q_LK[into] = q_PxLK.reshape(-1, K)
            for total, grad in zip(added_YCK, grads, strict=True):
                total.index_add_(0, block_P, grad.squeeze(1).to(total.dtype))
        total_BTHK = totals[0][:, plan.tokens]
        total_BTHK += embedding_bag(plan.positions(H), q_LK, mode="sum").view(total_BTHK.shape)
    for total_BSHK, more in zip(totals[1:], added_YCK, strict=True):
        total_BSXK = total_BSHK[:, :, :: H // X]
        total_BSXK += more.view(len(total_BSXK), X, -1, K).transpose(1, 2)


def _blocks(x_BSHK: Tensor, pickers: int, block: int) -> Tensor:
    """The blocks of each picker's keys, (B X Z, C, K)."""
    x_BXSK = x_BSHK[:, :, :: x_BSHK.shape[2] // pickers].transpose(1, 2)
    return x_BXSK.reshape(-1, block, x_BSHK.shape[3])


def _taken(x_BTHE: Tensor, pickers: int, row_PW: Tensor) -> Tensor:
    """Gathers the queries of chunks, those of a picker's heads adjacent: (P, 1, W R, E)."""
    E = x_BTHE.shape[3]
    rows = x_BTHE.reshape(-1, x_BTHE.shape[2] // pickers * E)
    return rows.index_select(0, row_PW.flatten()).view(len(row_PW), 1, -1, E)


@dataclass(frozen=True)
class _Plan:
    """How the pairs of some queries are arranged in chunks."""

    tokens: slice
    query_PW: Tensor  # per position, the row of its query among all (B, T, X)
    empty_PW: Tensor  # which positions have no pair; they hold some query's row
    block_P: Tensor
    position_BTXN: Tensor  # of each pair, in P W

    def pieces(self, keys_YCK: Tensor, rows: int) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
        """Yields as many chunks as are processed at a time: their slice of rows, queries, empty
        positions and blocks.
        """
        numbers = CACHED if pieces_pay(keys_YCK) else AT_ONCE
        chunks = max(1, numbers // (3 * keys_YCK[0].numel()))  # there are about as many queries
        step = chunks * (rows // len(self.block_P))
        whole = self.query_PW, self.empty_PW, self.block_P
        pieces = zip(*(torch.split(x, chunks) for x in whole), strict=True)
        for i, piece in enumerate(pieces):
            yield slice(i * step, (i + 1) * step), *piece

    def positions(self, heads: int) -> Tensor:
        """For each query of each head, the positions of its pairs."""
        X, N = self.position_BTXN.shape[2:]
        group = heads // X
        at_R1 = torch.arange(group, device=self.position_BTXN.device)[:, None]
        return (self.position_BTXN.unsqueeze(3) * group + at_R1).reshape(-1, N)


def _plans(pick_BXTN: Tensor, blocks: int, group: int) -> Iterator[_Plan]:
    """Yields a plan for some queries at a time, so that not too many results wait to be merged.

    A partly filled chunk costs as much as a full one, and each plan has one for every block.
    """
    T, N = pick_BXTN.shape[2:]
    size = -(-T // -(-N // WAITING))
    for first in range(0, T, size):
        tokens = slice(first, min(T, first + size))
        yield _plan(pick_BXTN, tokens, blocks, max(LEAST, ROWS // group))


def _plan(pick_BXTN: Tensor, tokens: slice, blocks: int, width: int) -> _Plan:
    B, X, T, N = pick_BXTN.shape
    pick_UM = pick_BXTN[:, :, tokens].reshape(B * X, -1)
    (U, M), device = pick_UM.shape, pick_UM.device
    chunks = (M + blocks * (width - 1)) // width  # room for the worst case
    count_UZ = pick_UM.new_zeros(U, blocks).scatter_add_(1, pick_UM, torch.ones_like(pick_UM))
    room_UZ = -(-count_UZ // width) * width
    end_UZ = room_UZ.cumsum(1)
    empty_UZ = (end_UZ - room_UZ) - (count_UZ.cumsum(1) - count_UZ)  # empty positions before it
    order_UM = by_bucket(pick_UM)
    rank_M = torch.arange(M, device=device)
    position_UM = rank_M + empty_UZ.gather(1, pick_UM.gather(1, order_UM))
    pair_US = order_UM.new_full((U, chunks * width), -1).scatter_(1, position_UM, order_UM)
    block_UP = owners(end_UZ // width, chunks)
    picker_U1 = torch.arange(U, device=device)[:, None]
    row_U1 = picker_U1 // X * (T * X) + picker_U1 % X
    position_UM = torch.zeros_like(position_UM).scatter_(1, order_UM, position_UM)
    position_BXTN = (position_UM + picker_U1 * (chunks * width)).view(B, X, -1, N)
    return _Plan(
        tokens,
        (row_U1 + (tokens.start + pair_US.clamp(min=0) // N) * X).view(-1, width),
        (pair_US < 0).view(-1, width),
        (block_UP + picker_U1 * blocks).flatten(),
        position_BXTN.transpose(1, 2),
    )


@dataclass(frozen=True)
class BlockCache:
    """Decoding state: room for keys and values in blocks, the first `length` tokens filled."""

    k_BGZCK: Tensor
    v_BGZCK: Tensor
    length: int

    @classmethod
    def init(cls, layer: Decodable[Any], batch: int, context: int, block: int) -> "BlockCache":
        """`context` random keys and values, with room for at least one more token."""
        blocks = -(-max(layer.config.tokens, context + 1) // block)
        shape = (batch, layer.kv_heads, blocks, block, layer.head_dim)
        return cls(layer.blank(*shape, random=True), layer.blank(*shape, random=True), context)

    def append(self, k_BGK: Tensor, v_BGK: Tensor) -> "BlockCache":
        at = divmod(self.length, self.k_BGZCK.shape[3])
        self.k_BGZCK[:, :, at[0], at[1]] = k_BGK
        self.v_BGZCK[:, :, at[0], at[1]] = v_BGK
        return replace(self, length=self.length + 1)

    def attend(self, q_BHK: Tensor, pick_BXN: Tensor) -> Tensor:
        """Exact attention over the picked blocks, and over the filled part of the last one."""
        B, G, Z, C, K = self.k_BGZCK.shape
        X, N = pick_BXN.shape[1:]
        last, filled = divmod(self.length - 1, C)
        own_BX1 = pick_BXN.new_full((B, X, 1), last)
        first_BX1 = torch.arange(B * X, device=pick_BXN.device).view(B, X, 1) // (X // G) * Z
        row_Y = (torch.cat([pick_BXN, own_BX1], dim=2) + first_BX1).flatten()
        k_BXSK, v_BXSK = (
            x.view(-1, C * K).index_select(0, row_Y).view(B, X, -1, K)[:, :, : N * C + filled + 1]
            for x in (self.k_BGZCK, self.v_BGZCK)
        )
        return one_query(q_BHK, k_BXSK, v_BXSK)
