"""What some variants do outside of products, an operation for each element and pass.

A softmax is four passes over its scores: maximum, difference, exponential, sum.
"""

from math import log2

from tests.forms.work import Case, D, H, K, ceil, cut, even, every, other, stairs, triangle

SOFTMAX = 4


@other
def sdpa(case: Case) -> float:
    """The softmax of what is not later, though no score is ever written."""
    return SOFTMAX * H * every(case)


@other
def softmax(case: Case) -> float:
    """Queries are scaled; causal, all scores are masked."""
    return case.tokens * D + (SOFTMAX + case.causal) * H * case.tokens**2


@other
def linformer(case: Case) -> float:
    """The softmax over R mixtures."""
    return SOFTMAX * H * case.tokens * case.options.rank


@other
def longformer(case: Case) -> float:
    """The softmax over the band as computed; one mask for all heads, the sum of two.

    The band's part is made once: a difference, two comparisons, both at once, and a choice.
    """
    N, half, M = case.tokens, case.options.window // 2, case.options.global_tokens
    block, looks = cut(half, 0 if case.causal else half)
    slots = looks + looks // block * M
    rows = triangle(M) if case.causal else M * N
    band = (SOFTMAX * H + 1) * even(N, block) * slots + 5 * block * slots
    return SOFTMAX * H * rows + band


@other
def linear_transformer(case: Case) -> float:
    """elu(x) + 1 of q and k, quotients, what is added below, and sums of [v, 1] phi(k).

    These go over pieces of 2^19 features; causal, over chunks, whose two parts are added too.
    """
    N, sums = case.tokens, H * K * (K + 1)
    each = 5 * N * D + N * H
    if not case.causal:
        return each + ceil(N, 2**19 // D) * sums
    return each + 2 * even(N, K) * H * (K + 1)


@other
def fnet(case: Case) -> float:
    """A Fourier transform of N D real numbers: 5 / 2 n log2 n."""
    return 2.5 * case.tokens * D * log2(case.tokens * D)


@other
def adaptive_sparse_transformer(case: Case) -> float:
    """Newton's steps on each score: difference, clamp, power, sum, and two for the norm.

    Before them maximum, difference and factor; after them most of a step, a product, a quotient.
    """
    N = case.tokens
    pairs = stairs(N, min(N, 256)) if case.causal else N**2
    steps = 10 * 6 + 5
    return H * pairs * (3 + steps + 2 + case.causal)
