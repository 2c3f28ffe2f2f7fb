"""How many queries to score at once, where all N x N scores are too many."""

from torch import Tensor

from effattn_cli.parts.chunked import pieces_pay

CACHED = 2**20  # scores at a time that stay in the caches of a CPU
AT_ONCE = 2**27  # scores at a time elsewhere
LEAST = 64  # queries that are worth a call


def rows_at_once(q_BHTK: Tensor, keys: int, least: int | None = None) -> int:
    B, H, T, _ = q_BHTK.shape
    scores = CACHED if pieces_pay(q_BHTK) else AT_ONCE
    return min(T, max(least or LEAST, scores // (B * H * keys)))
