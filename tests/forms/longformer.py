from tests.forms.work import Case, Work, at_least, attention, triangle, window


def form(case: Case) -> Work:
    """W / 2 keys on either side (causal: before) and M global ones, which see all themselves."""
    N, half, M = case.tokens, case.options.window // 2, case.options.global_tokens
    rows = attention(triangle(M) if case.causal else M * N)
    near = window(N, half, 0 if case.causal else half)
    far = sum(max(0, N - half - 1 - key) for key in range(M))
    return rows + at_least(attention(near + far))
