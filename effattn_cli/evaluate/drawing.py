"""Random queries, keys and values with the statistics of attention heads.

Whatever has no other structure is standard normal. Queries and keys are then scaled by the same
factor until the exact weights have the mean entropy that is wanted.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize

from effattn_cli.evaluate.regimes import REGIMES, Head

ROWS = 256  # queries, evenly spaced, for which entropy and sink are adjusted
SPREAD = 0.5  # of a cluster's tokens around its centroid; the spread of the centroids is 1
SINK_VALUE = 0.1  # norm of a sink's value relative to others: it takes weight, and adds little
STEPS = 17  # of bisection
LARGEST_LOG, LARGEST_SINK = 7.0, 100.0  # largest log scale and largest sink score that are tried
HIDDEN = -1e30  # score of a key that a query does not see; finite, so that 0 times it is 0


@dataclass(frozen=True)
class Drawn:
    """A batch of sequences: q (B, H, T, K), k and v (B, G, T, K)."""

    q_BHTK: Tensor
    k_BGTK: Tensor
    v_BGTK: Tensor

    def to(self, dtype: torch.dtype) -> "Drawn":
        return Drawn(*(x.to(dtype) for x in (self.q_BHTK, self.k_BGTK, self.v_BGTK)))


def draw(
    regime: str, *, heads: int, kv_heads: int, tokens: int, width: int, causal: bool, seed: int
) -> Drawn:
    """One sequence of a regime, in float64; kv heads take the regime's statistics in turn.

    The query heads of a kv head share its keys and values, and have separate queries.
    """
    kinds, queries = REGIMES[regime], heads // kv_heads
    generator = torch.Generator().manual_seed(seed)
    group = [kinds[number % len(kinds)] for number in range(kv_heads)]
    made = [_structured(head, queries, tokens, width, generator) for head in group]
    q_GRTK, k_GTK, v_GTK = (torch.stack(parts) for parts in zip(*made, strict=True))
    mean_GK = normalize(_normal(generator, kv_heads, width), dim=1)
    offset_G = torch.tensor([_offset(head.cosine, width) for head in group]).double()
    q_GRTK += (offset_G[:, None] * mean_GK)[:, None, None]
    k_GTK += (offset_G[:, None] * mean_GK)[:, None]
    like_GK = mean_GK / offset_G[:, None].clamp(min=1e-9)  # its product with a query averages 1
    scale_G, sink_G = _adjusted(q_GRTK, k_GTK, group, like_GK, causal=causal)
    q_GRTK, k_GTK = q_GRTK * scale_G.sqrt().view(-1, 1, 1, 1), k_GTK * scale_G.sqrt().view(-1, 1, 1)
    for number, head in enumerate(group):
        if head.sink:
            length = sink_G[number] * math.sqrt(width) / offset_G[number] / scale_G[number].sqrt()
            k_GTK[number, 0] = mean_GK[number] * length
            v_GTK[number, 0] *= SINK_VALUE
    return Drawn(q_GRTK.flatten(0, 1)[None], k_GTK[None], v_GTK[None])


def rows(tokens: int, maximum: int) -> Tensor:
    """Positions of queries, evenly spaced, including the first and the last."""
    return torch.linspace(0, tokens - 1, min(tokens, maximum), dtype=torch.float64).round().long()


def _structured(
    head: Head, queries: int, tokens: int, width: int, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (R, T, K) of the heads that share a kv head; its keys and values (T, K). They have
    all statistics except the common component, the temperature and the sink.
    """
    rank = max(1, round(head.rank * width))
    basis_KR = torch.linalg.qr(_normal(generator, width, rank)).Q * math.sqrt(width / rank)
    x_NTr = _normal(generator, queries + 1, tokens, rank)
    v_TK = _normal(generator, tokens, width)
    if head.correlation:
        x_NTr[:] = _process(head.correlation, _normal(generator, tokens, rank))
        v_TK = _process(head.correlation, v_TK)
    if head.clusters:
        position_T = torch.randint(head.clusters, (tokens,), generator=generator)
        x_NTr = _about(_normal(generator, head.clusters, rank)[position_T], x_NTr)
        v_TK = _about(_normal(generator, head.clusters, width)[position_T], v_TK)
    x_NTK = x_NTr @ basis_KR.mT
    mean_K = normalize(_normal(generator, width), dim=0)
    return x_NTK[:-1], x_NTK[-1], v_TK + _offset(head.value_cosine, width) * mean_K


def _normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _process(correlation: float, steps_TK: Tensor) -> Tensor:
    """A stationary AR(1) process of variance 1 along the tokens: a sum of decaying steps."""
    T = len(steps_TK)
    steps_TK = torch.cat([steps_TK[:1], math.sqrt(1 - correlation**2) * steps_TK[1:]])
    left_T1 = correlation ** torch.arange(T, dtype=torch.float64)[:, None]
    product = torch.fft.rfft(steps_TK, 2 * T, dim=0) * torch.fft.rfft(left_T1, 2 * T, dim=0)
    return torch.fft.irfft(product, 2 * T, dim=0)[:T]


def _about(centre: Tensor, noise: Tensor) -> Tensor:
    return (centre + SPREAD * noise) / math.sqrt(1 + SPREAD**2)


def _offset(cosine: float, width: int) -> float:
    """Length of the common component of vectors of norm sqrt `width` with this mean cosine."""
    return math.sqrt(width * cosine / (1 - cosine))


def _adjusted(
    q_GRTK: Tensor, k_GTK: Tensor, group: list[Head], like_GK: Tensor, *, causal: bool
) -> tuple[Tensor, Tensor]:
    """The factor for the scores of each kv head, and the mean score of its sink."""
    T, K = k_GTK.shape[1:]
    if T < 2:
        return torch.ones(len(group)).double(), torch.zeros(len(group)).double()
    at_N = rows(T, ROWS)
    at_N = at_N[at_N > 0] if causal else at_N
    seen_NT = torch.arange(T) <= at_N[:, None] if causal else torch.ones(len(at_N), T).bool()
    q_GRNK = q_GRTK[:, :, at_N]
    score_GRNT = (q_GRNK @ k_GTK[:, None].mT * K**-0.5).masked_fill_(~seen_NT, HIDDEN)
    sink_G, wanted_G = (
        torch.tensor([getattr(head, name) for head in group]).double()
        for name in ("sink", "entropy")
    )
    score_GRNT[sink_G > 0, ..., 0] = HIDDEN
    like_GRN = (q_GRNK @ like_GK[:, None, :, None])[..., 0]
    scores = _Scores(score_GRNT.float(), like_GRN, sink_G, seen_NT.sum(1).log())
    scale_G = _root(lambda log_G: wanted_G - scores.entropy(log_G), LARGEST_LOG, len(group)).exp()
    return scale_G, scores.sink(scores.others(scale_G)[0])


@dataclass(frozen=True)
class _Scores:
    """Scores of some queries of each kv head with all keys but its sink, and derived values."""

    score_GRNT: Tensor
    like_GRN: Tensor  # the sink's score at each query, with a mean of 1
    sink_G: Tensor  # its mean weight
    most_N: Tensor  # maximum entropy

    def others(self, scale_G: Tensor) -> tuple[Tensor, Tensor]:
        """The log-sum-exp, and the entropy of the other keys among themselves, (G, R, N)."""
        scaled = self.score_GRNT * scale_G.float().view(-1, 1, 1, 1)
        sum_GRN = scaled.logsumexp(-1)
        return sum_GRN.double(), (sum_GRN - (scaled.softmax(-1) * scaled).sum(-1)).double()

    def sink(self, sum_GRN: Tensor) -> Tensor:
        """The mean score that gives each sink the weight that is wanted."""
        return _root(
            lambda score_G: self._sunk(score_G, sum_GRN).mean((1, 2)) - self.sink_G,
            LARGEST_SINK,
            len(self.sink_G),
        )

    def _sunk(self, score_G: Tensor, sum_GRN: Tensor) -> Tensor:
        return (score_G.view(-1, 1, 1) * self.like_GRN - sum_GRN).sigmoid()

    def entropy(self, log_scale_G: Tensor) -> Tensor:
        """The mean entropy of all weights, including the sink's, as a fraction of the maximum."""
        sum_GRN, entropy_GRN = self.others(log_scale_G.exp())
        if self.sink_G.any():
            sunk_GRN = self._sunk(self.sink(sum_GRN), sum_GRN) * (self.sink_G > 0).view(-1, 1, 1)
            apart_GRN = torch.special.entr(sunk_GRN) + torch.special.entr(1 - sunk_GRN)
            entropy_GRN = apart_GRN + (1 - sunk_GRN) * entropy_GRN
        return (entropy_GRN / self.most_N).mean((1, 2))


def _root(rising: Callable[[Tensor], Tensor], maximum: float, number: int) -> Tensor:
    """The zeros of `number` increasing functions, between -maximum and maximum, by bisection."""
    low_G, high_G = torch.full((2, number), maximum, dtype=torch.float64) * torch.tensor(
        [[-1], [1]]
    )
    for _ in range(STEPS):
        middle_G = (low_G + high_G) / 2
        above_G = rising(middle_G) > 0
        high_G = torch.where(above_G, middle_G, high_G)
        low_G = torch.where(above_G, low_G, middle_G)
    return (low_G + high_G) / 2
