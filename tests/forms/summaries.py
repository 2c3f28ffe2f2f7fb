"""Fewer keys, features or tokens in place of all: low rank, kernels, memories, downsampling."""

from math import lcm

from tests.forms.work import (
    Case,
    D,
    H,
    K,
    Work,
    at_once,
    attention,
    even,
    form,
    product,
    scores,
    stairs,
    triangle,
)

CHUNK = 64  # tokens whose products with each other a causal kernel forms


@form
def linformer(case: Case) -> Work:
    """Two mixtures of N keys and values to R, then R keys a query."""
    N, R = case.tokens, case.options.rank
    return 2 * product(R, N, D) + attention(N * R)


@form
def nystromformer(case: Case) -> Work:
    """M landmarks read and are read; 4 products a step to the inverse; a filter over the values.

    The gradient of the filter: each block of C tokens with all that W shifts of it meet.
    """
    N, M, W = case.tokens, case.options.landmarks, case.options.kernel
    met = product(D, even(N, C := min(CHUNK, N)), C + W - 1).forward
    inverse = scores(M * M) + 4 * case.options.iterations * H * product(M, M, M)
    summary = attention(M * N) + H * product(M, M, K)
    filtered = product(N * D, W, 1, learn=1) + Work(backward=met)
    return inverse + summary + attention(N * M) + filtered


@form
def set_transformer(case: Case) -> Work:
    """M points read all, become keys and values, and are read by all."""
    pairs = case.tokens * case.options.points
    return attention(pairs) + 2 * product(case.options.points, D, D) + attention(pairs)


@form
def luna(case: Case) -> Work:
    """L queries read all and are read; causal, two linear attentions in chunks, over v and w."""
    N, L = case.tokens, case.options.length
    if not case.causal:
        return attention(L * N) + product(L, D, D) + attention(N * L)
    rows = even(N, CHUNK)
    within = 2 * scores(rows * CHUNK) + 2 * scores(rows * CHUNK, width=L)
    return scores(N * L) + within + 3 * scores(rows * L)


@form
def perceiver(case: Case) -> Work:
    """M latents read all, go through layers of 6 M D^2 of their own, and are read by all.

    Causal: the latents are the last M tokens, and the output too.
    """
    N, M = case.tokens, case.options.latents
    square = product(M, D, D)
    layer = 6 * square + attention(triangle(M) if case.causal else M * M)
    work = 3 * square + case.options.layers * layer  # what was read, and a feed-forward on it
    if case.causal:
        return work + attention(M * N, admitted=triangle(N) - triangle(N - M))
    return work + attention(M * N) + 3 * square + attention(N * M)


@form
def token_learner(case: Case) -> Work:
    """A narrow MLP gives each token S weights, by which S tokens are sums of all."""
    N, narrow, S = case.tokens, case.options.bottleneck, case.options.learned
    return product(N, D, narrow) + product(N, narrow, S) + product(S, N, D)


@form
def charformer(case: Case) -> Work:
    """A score a character; each token a sum over a period of block sizes, made as a matrix.

    To make it, ones tell M times over who is in a block: of what counts, of scores, of shares.
    """
    M, S = case.options.block, case.options.downsample
    period = lcm(*range(1, M + 1))
    rows = even(case.tokens, period)
    blocks = product(rows, period, M, learn=0) + 2 * product(rows, period, M, learn=1)
    return product(case.tokens, D, 1) + blocks + product(rows // S, period, D)


def linear(case: Case, features: int) -> Work:
    """phi(q) (phi(k)^T [v, 1]); causal, and the pairs of a chunk by themselves.

    Unless a piece of the length that is worked on at a time ends in less than a chunk.
    """
    if not case.causal:
        return 2 * H * product(case.tokens, features, K + 1)
    rows = even(case.tokens, CHUNK)
    within = product(rows, features, CHUNK) + product(rows, CHUNK, K + 1)
    return H * (within + 2 * product(rows, features, K + 1))


@form
def linear_transformer(case: Case) -> Work:
    """The features are as many as channels, and no product makes them."""
    return linear(case, K)


@form
def performer(case: Case) -> Work:
    """F fixed directions for q, and for k with its square as one channel more."""
    N, F = case.tokens, case.options.features
    made = H * product(N, K, F, learn=1) + H * product(N, K + 1, F, learn=1)
    return made + linear(case, F)


@form
def random_feature_attention(case: Case) -> Work:
    """R fixed directions, of each a sine and a cosine."""
    R = case.options.directions
    return 2 * H * product(case.tokens, K, R, learn=1) + linear(case, 2 * R)


@form
def fnet(case: Case) -> Work:
    """A Fourier transform is no product."""
    return Work()


def by_rows(case: Case, least: int) -> tuple[int, int]:
    """Pairs scored, and those admitted: causal, a block of queries up to its last."""
    if not case.causal:
        return case.tokens**2, case.tokens**2
    return stairs(case.tokens, at_once(case.tokens, case.tokens, least)), triangle(case.tokens)


@form
def synthesizer(case: Case) -> Work:
    """N logits of each token by a layer with a bias, and the values they weigh."""
    pairs, seen = by_rows(case, least=64)
    return scores(pairs, admitted=seen, width=K + 1) + scores(pairs, admitted=seen)


@form
def adaptive_sparse_transformer(case: Case) -> Work:
    """Scores, and the values that they weigh."""
    pairs, seen = by_rows(case, least=256)
    return 2 * scores(pairs, admitted=seen)
