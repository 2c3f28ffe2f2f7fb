"""Sorting tokens into buckets, gathering rows in that order, and scattering results back.

R hash rounds, C tokens of a chunk, W = 2 C tokens that a chunk sees, Z chunks, G sequences that are
sorted independently.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effattn_cli.parts.precision import wide

FAINT = 1e-30  # weight of a token's own value, negligible beside any other weight


class CrossPolytope(nn.Module):
    """Hashes a vector's direction to one of 2^bits buckets, in R independent rounds.

    A hash is the nearest of the axes and their negatives after a random rotation; buckets are the
    product of several hashes of at most 64 each, since a single hash would need as many dot
    products as buckets. The rotations are drawn once, at construction.
    """

    def __init__(self, head_dim: int, rounds: int, bits: int) -> None:
        super().__init__()
        self.buckets = 2**bits
        self.factors = -(-bits // 6)
        for i in range(self.factors):
            share = (bits + i) // self.factors  # the shares add up to `bits`
            rotation_KRS = torch.randn(head_dim, rounds, 2 ** (share - 1))
            self.register_buffer(f"rotation_{i}", rotation_KRS)

    @torch.no_grad()
    def forward(self, x_BHTK: Tensor) -> Tensor:
        """Buckets (B, H, R, T), found in at least float32: rounding could change a bucket."""
        dtype = torch.promote_types(x_BHTK.dtype, torch.float32)
        x_BTHK = x_BHTK.transpose(1, 2).to(dtype)
        bucket_BTHR = torch.zeros((), dtype=torch.int64, device=x_BHTK.device)
        for i in range(self.factors):
            rotation_KRS = self.get_buffer(f"rotation_{i}").to(dtype)
            S = rotation_KRS.shape[-1]
            along_BTHRS = torch.tensordot(x_BTHK, rotation_KRS, dims=1)
            axis_BTHR1 = along_BTHRS.abs().argmax(-1, keepdim=True)
            side_BTHR1 = along_BTHRS.gather(-1, axis_BTHR1) < 0
            bucket_BTHR = bucket_BTHR * (2 * S) + (axis_BTHR1 + S * side_BTHR1).squeeze(-1)
        return bucket_BTHR.permute(0, 2, 3, 1)


def by_bucket(bucket_BHRT: Tensor) -> Tensor:
    """The positions, sorted by bucket and by position within a bucket."""
    T = bucket_BHRT.shape[-1]
    return (bucket_BHRT * T + torch.arange(T, device=bucket_BHRT.device)).argsort(-1)


def owners(end_GC: Tensor, chunks: int) -> Tensor:
    """The owner of each chunk, (G, Z): owner c has the chunks before `end[c]` that no earlier owner
    has; the last one also gets the rest.
    """
    ends_GZ = end_GC.new_zeros(len(end_GC), chunks + 1)
    ends_GZ.scatter_add_(1, end_GC, torch.ones_like(end_GC))
    return ends_GZ[:, :-1].cumsum(1).clamp_(max=end_GC.shape[1] - 1)


def windows(order_GT: Tensor, chunk: int, nothing: int) -> Tensor:
    """The positions (G, Z, W) that each chunk sees: those of the chunk before, and its own.

    There is no chunk before the first, which sees the position `nothing` instead.
    """
    own_GZC = order_GT.view(len(order_GT), -1, chunk)
    before_GZC = pad(own_GZC[:, :-1], (0, 0, 1, 0), value=nothing)
    return torch.cat([before_GZC, own_GZC], dim=2)


def others(window_GZW: Tensor, *, causal: bool) -> Tensor:
    """1 where a query of the chunk (G, Z, C, W) may see another token, 0 elsewhere, in float32.

    Computed arithmetically from the positions: comparing and filling takes longer on a CPU.
    """
    position_GZW = window_GZW.float()
    position_GZC = position_GZW[:, :, position_GZW.shape[2] // 2 :]
    apart_GZCW = position_GZC.unsqueeze(3) - position_GZW.unsqueeze(2)
    return (apart_GZCW if causal else apart_GZCW.abs_()).clamp_(0, 1)


def take(x_GTE: Tensor, position_GZW: Tensor) -> Tensor:
    """Gathers rows of each sequence, (G, Z, W, E)."""
    rows = x_GTE.flatten(0, 1).index_select(0, _flat(position_GZW, x_GTE.shape[1]))
    return rows.view(*position_GZW.shape, x_GTE.shape[2])


def add_back(total_GTE: Tensor, position_GZC: Tensor, x_GZCE: Tensor) -> None:
    """Adds rows back to the positions of their sequence that they came from."""
    index = _flat(position_GZC, total_GTE.shape[1])
    total_GTE.flatten(0, 1).index_add_(0, index, x_GZCE.flatten(0, 2))


def quotient(sums_BHTE: Tensor, v_BHTK: Tensor) -> Tensor:
    """Sums of weighted values over sums of weights; a token that sees no other sees itself.

    (B, H, T, K + 1) to (B, H, T, K), in the dtype of v.
    """
    sums_BHTE = wide(sums_BHTE)
    top_BHTK = sums_BHTE[..., :-1] + FAINT * v_BHTK.to(sums_BHTE.dtype)
    return (top_BHTK / sums_BHTE[..., -1:].clamp(min=FAINT)).to(v_BHTK.dtype)


def _flat(position_GZW: Tensor, tokens: int) -> Tensor:
    """Positions within each sequence as positions in all sequences concatenated."""
    first_G = torch.arange(0, len(position_GZW) * tokens, tokens, device=position_GZW.device)
    return (position_GZW + first_G[:, None, None]).flatten()


@dataclass(frozen=True)
class Sorted:
    """Decoding state: a row for each token so far, and their sorted order in every round."""

    row_BHSE: Tensor  # by position, the first `length` of S filled
    key_BHRS: Tensor  # bucket * S + position, ascending; unused slots hold a larger number
    length: int

    @classmethod
    def init(cls, row_BHSE: Tensor, buckets: int, rounds: int, context: int) -> "Sorted":
        """The first `context` rows, as tokens in random buckets."""
        B, H, S, _ = row_BHSE.shape
        bucket_BHRT = torch.randint(buckets, (B, H, rounds, context), device=row_BHSE.device)
        position_T = torch.arange(context, device=row_BHSE.device)
        key_BHRT = (bucket_BHRT * S + position_T).sort().values
        return cls(row_BHSE, pad(key_BHRT, (0, S - context), value=buckets * S), context)

    def add(self, row_BHxE: Tensor, bucket_BHRx: Tensor) -> "Sorted":
        """Adds a token."""
        S = self.row_BHSE.shape[2]
        self.row_BHSE[:, :, self.length] = row_BHxE.squeeze(2)
        mine_BHRx = bucket_BHRx * S + self.length
        # The larger keys move up by one.
        moved_BHRS = pad(self.key_BHRS[..., :-1], (1, 0), value=-1)
        key_BHRS = torch.maximum(moved_BHRS, torch.minimum(self.key_BHRS, mine_BHRx))
        return Sorted(self.row_BHSE, key_BHRS, self.length + 1)

    def near(self, bucket_BHRx: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """What the newest token sees in all rounds: rows (B, H, R W, E), and a mask of others."""
        S = self.row_BHSE.shape[2]
        mine_BHRx = bucket_BHRx * S + self.length - 1
        rank_BHRx = _rank(self.key_BHRS, mine_BHRx)
        rank_BHRW = rank_BHRx // chunk * chunk + torch.arange(
            -chunk, chunk, device=mine_BHRx.device
        )
        other = (rank_BHRW >= 0) & (rank_BHRW < self.length) & (rank_BHRW != rank_BHRx)
        position_BHRW = self.key_BHRS.gather(-1, rank_BHRW.clamp(0, S - 1)) % S
        rows_GRWE = take(self.row_BHSE.flatten(0, 1), position_BHRW.flatten(0, 1))
        return rows_GRWE.view(*other.shape[:2], -1, rows_GRWE.shape[-1]), other.flatten(2)


def _rank(key_BHRS: Tensor, mine_BHRx: Tensor) -> Tensor:
    """How many of the ascending keys are smaller; when exporting, they are counted."""
    if torch.compiler.is_exporting():
        return (key_BHRS < mine_BHRx).sum(-1, keepdim=True)
    return torch.searchsorted(key_BHRS, mine_BHRx)
