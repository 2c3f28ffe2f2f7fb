"""Patterns that are learned: tokens are hashed, clustered or sorted, and attend within a group."""

from math import ceil as up
from math import log2

from tests.forms.work import (
    Case,
    D,
    H,
    K,
    Work,
    attention,
    ceil,
    even,
    form,
    near_root,
    product,
    scores,
    triangle,
)


@form
def reformer(case: Case) -> Work:
    """In each round N C tokens see 2 C by q k and [v, 1], after hashes to 2 N / C buckets.

    A hash of b bits is the nearest of 2^(b - 1) axes and their negatives, of 6 bits at most.
    """
    C, rounds = case.options.bucket_size, case.options.hashes
    bits = up(log2(2 * case.tokens / C))
    hashes = ceil(bits, 6)
    axes = sum(2 ** ((bits + i) // hashes - 1) for i in range(hashes))
    pairs = even(case.tokens, C) * 2 * C
    hashing = scores(case.tokens * axes, learn=0)
    return rounds * (hashing + scores(pairs) + scores(pairs, width=K + 1))


@form
def routing_transformer(case: Case) -> Work:
    """About sqrt N centres choose N / sqrt N queries and keys each (causal: both at once)."""
    clusters = ceil(case.tokens, near_root(case.tokens))
    W = ceil(case.tokens, clusters)
    choosing = scores(case.tokens * clusters, learn=0)
    if case.causal:
        return choosing + attention(clusters * triangle(W))
    return 2 * choosing + attention(clusters * W**2)


@form
def clustered(case: Case) -> Work:
    """Hashes of S bits, rounds of k-means on these and 1, and C queries in place of all."""
    options, N = case.options, case.tokens
    hashing = H * product(N, K, options.bits, learn=0)
    nearness = H * product(N, options.bits + 1, options.clusters, learn=0)
    return hashing + options.iterations * nearness + attention(options.clusters * N)


@form
def clusterformer(case: Case) -> Work:
    """A product with each centre for all heads, and chunks of C tokens."""
    C = case.options.chunk
    return product(case.tokens, D, case.options.clusters, learn=0) + attention(
        even(case.tokens, C) * C
    )


@form
def sinkhorn_transformer(case: Case) -> Work:
    """Two layers over Z blocks' sums sort whole blocks of k and v; a query sees 2 C keys.

    Where the last block is not full, the sorting says how much of each sorted token is real.
    """
    C = near_root(case.tokens)
    Z = ceil(case.tokens, C)
    sorted_ = Z - 1 if case.causal else Z  # the first block has none before it
    network = product(sorted_, 2 * K, K) + product(sorted_, K, Z - 1 if case.causal else Z)
    partly = case.tokens % C > 0 and not case.causal
    shares = H * product(Z, Z, C, learn=1) if partly else Work()
    mixing = H * (network + 2 * product(Z, Z, C * K)) + shares
    seen = Z * triangle(C) + (Z - 1) * C**2 if case.causal else 2 * Z * C**2
    return mixing + attention(2 * Z * C**2, admitted=seen, mask_learns=partly)
