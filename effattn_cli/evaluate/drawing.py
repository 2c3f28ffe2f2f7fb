"""Random queries, keys and values that have the statistics of a head.

What has no other structure is standard normal. Queries and keys are then scaled alike until the
mean entropy of the exact weights is what it is to be.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

from effattn_cli.evaluate.regimes import REGIMES, Head

ROWS = 128  # queries, evenly spaced, at which entropy and sink are adjusted
SPREAD = 0.5  # of the tokens of a cluster about its centre, whose own spread is 1
SINK_VALUE = 0.1  # the norm of a sink's value over that of others: it takes weight, and adds little


@dataclass(frozen=True)
class Drawn:
    """Of a batch of sequences: q (B, H, T, K), k and v (B, G, T, K)."""

    q_BHTK: Tensor
    k_BGTK: Tensor
    v_BGTK: Tensor

    def to(self, dtype: torch.dtype) -> "Drawn":
        return Drawn(*(x.to(dtype) for x in (self.q_BHTK, self.k_BGTK, self.v_BGTK)))


def draw(
    regime: str, *, heads: int, kv_heads: int, tokens: int, width: int, causal: bool, seed: int
) -> Drawn:
    """One sequence of a regime, in float64; heads have the regime's statistics in turn.

    The query heads of a kv head share its keys and values, and have queries of their own.
    """
    kinds, each = REGIMES[regime], heads // kv_heads
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(kv_heads):
        head = kinds[number % len(kinds)]
        made.append(_head(head, each, tokens, width, generator, causal=causal))
    q_HTK, k_GTK, v_GTK = (torch.cat(parts) for parts in zip(*made, strict=True))
    return Drawn(q_HTK[None], k_GTK[None], v_GTK[None])


def _head(
    head: Head, queries: int, tokens: int, width: int, generator: Generator, *, causal: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (R, T, K) of the heads that share one kv head; its keys and values (1, T, K)."""
    rank = min(head.rank or width, width)
    basis_KR = torch.linalg.qr(_normal(generator, width, rank)).Q * math.sqrt(width / rank)
    common_RTr, place_T = None, None
    if head.correlation:
        common_RTr = _process(head.correlation, tokens, rank, generator)
    if head.clusters:
        place_T = torch.randint(head.clusters, (tokens,), generator=generator)
        common_RTr = _normal(generator, head.clusters, rank)[place_T]
    q_RTK, k_1TK = (
        _shaped(common_RTr, number, tokens, head, basis_KR, generator) for number in (queries, 1)
    )
    v_1TK = _values(head, tokens, width, place_T, generator)
    mean_K = torch.nn.functional.normalize(_normal(generator, width), dim=0)
    offset = _offset(head.cosine, width)
    q_RTK, k_1TK = q_RTK + offset * mean_K, k_1TK + offset * mean_K
    share, sink = _adjusted(q_RTK, k_1TK, head, mean_K, offset, causal=causal)
    q_RTK, k_1TK = q_RTK * math.sqrt(share), k_1TK * math.sqrt(share)
    if head.sink:
        k_1TK[:, 0] = mean_K * (sink * math.sqrt(width) / (offset * math.sqrt(share)))
        v_1TK[:, 0] *= SINK_VALUE
    return q_RTK, k_1TK, v_1TK


def _normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _process(correlation: float, tokens: int, width: int, generator: Generator) -> Tensor:
    """A stationary AR(1) process of variance 1 along the tokens, (T, width)."""
    steps_Tr = _normal(generator, tokens, width)
    rest = math.sqrt(1 - correlation**2)
    for token in range(1, tokens):
        steps_Tr[token] = correlation * steps_Tr[token - 1] + rest * steps_Tr[token]
    return steps_Tr


def _shaped(
    common_Tr: Tensor | None,
    number: int,
    tokens: int,
    head: Head,
    basis_KR: Tensor,
    generator: Generator,
) -> Tensor:
    """Queries or keys before the offset, (number, T, K), of norm sqrt K on the average."""
    rank = basis_KR.shape[1]
    x_NTr = _normal(generator, number, tokens, rank)
    if common_Tr is not None:
        own = SPREAD if head.clusters else 0.0
        x_NTr = (common_Tr + own * x_NTr) / math.sqrt(1 + own**2)
    return x_NTr @ basis_KR.mT


def _values(
    head: Head, tokens: int, width: int, place_T: Tensor | None, generator: Generator
) -> Tensor:
    """Values (1, T, K): alike where the keys are, by time or by cluster."""
    if head.correlation:
        v_TK = _process(head.correlation, tokens, width, generator)
    else:
        v_TK = _normal(generator, tokens, width)
    if place_T is not None:
        centre_CK = _normal(generator, head.clusters, width)
        v_TK = (centre_CK[place_T] + SPREAD * v_TK) / math.sqrt(1 + SPREAD**2)
    mean_K = torch.nn.functional.normalize(_normal(generator, width), dim=0)
    return (v_TK + _offset(head.value_cosine, width) * mean_K)[None]


def _offset(cosine: float, width: int) -> float:
    """The length of the common part of vectors of norm sqrt `width` with this mean cosine."""
    return math.sqrt(width * cosine / (1 - cosine))


def _adjusted(
    q_RTK: Tensor, k_1TK: Tensor, head: Head, mean_K: Tensor, offset: float, *, causal: bool
) -> tuple[float, float]:
    """What to multiply the scores by, and the mean score of the sink."""
    T, K = q_RTK.shape[1:]
    if T < 2:
        return 1.0, 0.0
    at_N = rows(T, ROWS)
    seen_NT = (torch.arange(T) <= at_N[:, None]) if causal else torch.ones(len(at_N), T).bool()
    at_N, seen_NT = at_N[seen_NT.sum(1) > 1], seen_NT[seen_NT.sum(1) > 1]
    score_RNT = (q_RTK[:, at_N] @ k_1TK.mT * K**-0.5).masked_fill_(~seen_NT, -torch.inf)
    like_RN = (q_RTK[:, at_N] @ mean_K) / offset if head.sink else None
    scores = _Scores(score_RNT.float(), like_RN, seen_NT.sum(1).log())
    scale, sink = 1.0, 0.0
    for _ in range(8 if head.sink else 1):
        entropy = partial(scores.lacks_entropy, sink=sink, wanted=head.entropy)
        scale = math.exp(_root(entropy, -12, 12))
        if head.sink:
            sink = _root(partial(scores.has_sunk, scale=scale, wanted=head.sink), -50, 200)
    return scale, sink


@dataclass(frozen=True)
class _Scores:
    """Of some queries, and what they make of a scale, and of the score of a sink."""

    score_RNT: Tensor
    like_RN: Tensor | None  # the sink's score at each query, if it is 1 on the average
    most_N: Tensor  # entropy

    def weights(self, scale: float, sink: float) -> Tensor:
        scaled = self.score_RNT * scale
        if self.like_RN is not None:
            scaled[..., 0] = sink * self.like_RN
        return scaled.softmax(-1)

    def lacks_entropy(self, log_scale: float, *, sink: float, wanted: float) -> float:
        """What is missing of the mean entropy."""
        weight_RNT = self.weights(math.exp(log_scale), sink)
        return wanted - float((entropies(weight_RNT) / self.most_N).mean())

    def has_sunk(self, sink: float, *, scale: float, wanted: float) -> float:
        """What the sink's mean weight is beyond the wanted one."""
        return float(self.weights(scale, sink)[..., 0].mean()) - wanted


def rows(tokens: int, most: int) -> Tensor:
    """Places of queries, evenly spaced, the first and the last among them."""
    return torch.linspace(0, tokens - 1, min(tokens, most), dtype=torch.float64).round().long()


def entropies(weights: Tensor) -> Tensor:
    """Of distributions over the last axis, in nats."""
    return -torch.special.xlogy(weights, weights).sum(-1)


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0, by halves; the nearer end where it is nowhere."""
    for _ in range(36):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2
