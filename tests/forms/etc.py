from tests.forms.work import Case, Work, at_least, attention, scores, window


def form(case: Case) -> Work:
    """M global tokens see all by labelled scores; long ones see them, and r on either side."""
    N, M, r = case.tokens, case.options.global_tokens, case.options.radius
    labels = scores(N * (2 * case.options.max_distance + 3))
    long = N - M
    near = at_least(attention(window(long, r, r), mask_learns=True))
    far = attention(long * M, mask_learns=True)
    return labels + attention(M * N, mask_learns=True) + near + far
