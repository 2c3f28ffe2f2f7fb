from tests.forms.work import Case, D, H, K, Work, attention, ceil, product, triangle


def form(case: Case) -> Work:
    """Segments of W look at 2 W near keys and at R mixtures of all.

    Causal: at their own keys so far, all W before them, and at one mixture of each chunk.
    """
    W, R, N = case.options.window, case.options.rank, case.tokens
    segments = ceil(N, W)
    if case.causal:
        chunk = ceil(N, R)
        mixtures = ceil(N, chunk)
        mix = product(N, D, H) + 2 * H * product(mixtures, chunk, K)
        near = segments * triangle(W) + (segments - 1) * W**2
    else:
        mixtures = R
        mix = product(N, D, H * R) + 2 * H * product(R, N, K)
        near = segments * W * 2 * W
    return mix + attention(near + segments * W * mixtures)
