"""Exact attention, and patterns that are fixed: who sees whom does not depend on the input."""

from math import floor, log2

from tests.forms.work import (
    Case,
    D,
    H,
    K,
    Work,
    at_once,
    attention,
    band,
    ceil,
    even,
    every,
    form,
    near_root,
    product,
    scores,
    stairs,
    triangle,
    window,
)


@form
def sdpa(case: Case) -> Work:
    """q k^T and p v: 4 K FLOPs a pair; the fused kernel leaves out what is later."""
    return attention(every(case))


@form
def gqa(case: Case) -> Work:
    """Fewer keys to read, but every query head still scores all of them."""
    return attention(every(case))


@form
def softmax(case: Case) -> Work:
    """All N^2 scores in plain products, whether they are masked or not."""
    return attention(case.tokens**2, admitted=every(case), mask_learns=True)


@form
def all_attention(case: Case) -> Work:
    """The tokens, and M vectors that every query sees."""
    return attention(every(case) + case.tokens * case.options.vectors)


@form
def local(case: Case) -> Work:
    """The last W keys, or W / 2 on either side."""
    W = case.options.window
    return band(case.tokens, W - 1, 0) if case.causal else band(case.tokens, W // 2, W // 2)


@form
def longformer(case: Case) -> Work:
    """W / 2 keys on either side (causal: before) and M global ones, which see all themselves."""
    N, half, M = case.tokens, case.options.window // 2, case.options.global_tokens
    rows = attention(triangle(M) if case.causal else M * N)
    return rows + band(N, half, 0 if case.causal else half, first=M)


@form
def adaptive_span(case: Case) -> Work:
    """Every head scores as far back as it may learn to look, S keys; the mask learns."""
    made = band(case.tokens, case.options.span - 1, 0)
    return Work(made.forward, 2 * made.forward, made.needed)


@form
def swin_1d(case: Case) -> Work:
    """Windows of W after a short one of W / 2, with biases that learn."""
    W = case.options.window
    short = W // 2
    whole, rest = divmod(case.tokens - short, W)
    return attention(short**2 + whole * W**2 + rest**2, mask_learns=True)


@form
def blockwise(case: Case) -> Work:
    """In every head, each of n blocks of queries sees one of n blocks of keys."""
    n = case.options.blocks
    return attention(n * ceil(case.tokens, n) ** 2)


@form
def image_transformer(case: Case) -> Work:
    """Each block up to the query, and the M tokens before it, a block of keys at a time."""
    block, M, N = case.options.block, case.options.memory, case.tokens
    blocks = ceil(N, block)
    made = blocks * triangle(block)
    made += sum((blocks - back) * block**2 for back in range(1, ceil(M, block) + 1))
    starts = range(0, N, block)
    widths = [min(block, N - start) for start in starts]
    seen = sum(triangle(C) + C * min(M, at) for C, at in zip(widths, starts, strict=True))
    return attention(made, admitted=seen)


@form
def sparse_transformer(case: Case) -> Work:
    """Each block of L up to the query, and C summaries of each block before it.

    The length is cut into some 8 chunks of blocks; those of its own chunk a block scores all.
    """
    N, L = case.tokens, 2 ** floor(log2(case.tokens) / 2 + 1 / 2)
    C = min(case.options.summary, L)
    group = max(1, ceil(N, L) // 8)
    chunks = ceil(N, group * L)
    own = chunks * group * triangle(L)
    within = chunks * (group * L) * (group * C) if group > 1 else 0
    before = triangle(chunks - 1) * (group * L) * (group * C)
    blocks, rest = divmod(N, L)
    seen = blocks * triangle(L) + triangle(rest)
    seen += triangle(blocks - 1) * L * C + rest * blocks * C
    return attention(own + within + before, admitted=seen)


@form
def axial_transformer(case: Case) -> Work:
    """Rows of about sqrt N, then columns; causal: whole rows, columns so far, rows so far."""
    W = near_root(case.tokens)
    rows = ceil(case.tokens, W)
    if not case.causal:
        return attention(rows * W**2 + W * rows**2)
    return attention((rows - 1) * W**2 + W * triangle(rows - 1) + rows * triangle(W))


@form
def big_bird(case: Case) -> Work:
    """The first and the last block see all; others both of them, 3 around themselves, R more."""
    C, blocks = case.options.block_size, ceil(case.tokens, case.options.block_size)
    rows = (blocks - 2) * (5 + case.options.random_blocks) * C**2
    ends = attention(2 * C * even(case.tokens, C))
    return ends + attention(rows, admitted=rows - 2 * C**2)  # twice the first or last is near


@form
def etc(case: Case) -> Work:
    """M global tokens see all by labelled scores; long ones see them, and r on either side."""
    N, M, r = case.tokens, case.options.global_tokens, case.options.radius
    labels = scores(N * (2 * case.options.max_distance + 3))
    long, block = N - M, 16 * ceil(2 * r, 64)
    rows, looks = even(long, block), block + 2 * even(r, block)
    near = attention(rows * looks, admitted=window(long, r, r), mask_learns=True)
    far = attention(rows * M, admitted=long * M, mask_learns=True)
    return labels + attention(M * N, mask_learns=True) + near + far


@form
def memory_compressed(case: Case) -> Work:
    """Stretches of C tokens make a key and a value; causal, query t sees t // C and token 0."""
    C, stretches = case.options.compression, ceil(case.tokens, case.options.compression)
    pairs = C * triangle(stretches) if case.causal else case.tokens * stretches
    return 2 * H * product(stretches, C * K, K) + attention(pairs)


@form
def poolingformer(case: Case) -> Work:
    """A window, projections of what it gives, and a window of pooled keys by stride X.

    A stretch of S tokens is pooled by S weights, each a linear map of the whole stretch.
    """
    options, N = case.options, case.tokens
    S, X = options.pool_size, options.pool_stride
    near, far, stretches = options.window // 2, options.pool_window // (2 * X), ceil(N, X)
    pool = H * (product(stretches, S * K, S) + product(stretches, S, K))
    again = 3 * product(N, D, D)
    return band(N, near, near) + again + 2 * pool + X * band(stretches, far, far)


@form
def long_short_transformer(case: Case) -> Work:
    """Segments of W look at 2 W near keys and at R mixtures of all.

    Causal: at their own keys so far, all W before them, and at one mixture of each chunk.
    """
    W, R, N = case.options.window, case.options.rank, case.tokens
    segments = ceil(N, W)
    if case.causal:
        chunk = ceil(N, R)
        mixtures = ceil(N, chunk)
        mix = product(N, D, H) + 2 * H * product(mixtures, chunk, K)
        seen = window(N, W - 1, 0) + sum(i // chunk for i in range(N))
        near = segments * triangle(W) + (segments - 1) * W**2
    else:
        mixtures = R
        mix = product(N, D, H * R) + 2 * H * product(R, N, K)
        ends = [(max(0, at - W // 2), min(N, at + W + W // 2)) for at in range(0, N, W)]
        widths = [min(W, N - at) for at in range(0, N, W)]
        seen = sum(C * (last - i) for C, (i, last) in zip(widths, ends, strict=True)) + N * R
        near = segments * W * 2 * W
    return mix + attention(near + segments * W * mixtures, admitted=seen)


def relative(queries: int, memory: int) -> Work:
    """Content and position scores of a segment that sees a memory and itself, causal.

    By blocks of queries, each up to its last one; a block's positions are one more.
    """
    keys = memory + queries
    block = at_once(queries, keys)
    made = memory * queries + stairs(queries, block)
    seen = memory * queries + triangle(queries)
    content = attention(made, admitted=seen, mask_learns=True)
    return content + scores(made + queries, admitted=seen)


def segments(tokens: int, length: int) -> list[int]:
    return [min(length, tokens - at) for at in range(0, tokens, length)]


@form
def transformer_xl(case: Case) -> Work:
    """Segments of L see up to M tokens before them; r is projected for each distance."""
    L, M = case.options.segment, case.options.memory
    work = product(M + L + 1, D, D, learn=1)
    for i, length in enumerate(segments(case.tokens, L)):
        work += relative(length, min(i * L, M))
    return work


@form
def compressive_transformer(case: Case) -> Work:
    """So too, and C compressed tokens behind these; no gradient reaches the convolutions."""
    options = case.options
    L, M, C, ratio = options.segment, options.memory, options.compressed, options.compression
    lengths = segments(case.tokens, L)
    work = product(M + C + L + 1, D, D, learn=1)
    for i, length in enumerate(lengths):
        work += relative(length, min(i * L, M) + min(max(0, i * L - M) // ratio, C))
        if i * L > M:  # a segment has left the memory
            work += 2 * product(L // ratio, ratio * D, D, learn=0)
    return work


@form
def funnel_transformer(case: Case) -> Work:
    """N / 2 pooled queries see N keys, by content and by the distances of a block's queries."""
    N, queries = case.tokens, ceil(case.tokens, 2)
    block = at_once(queries, N)
    positions = sum(C * (N + 2 * C) for C in segments(queries, block))
    r = product(N + 2 * queries, D, D, learn=1)
    place = scores(positions, admitted=queries * N)
    return r + place + attention(queries * N, mask_learns=True)
