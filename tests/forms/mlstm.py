from tests.forms.work import Case, H, K, Work, at_least, product

#: Chunks form the products of their own tokens with each other, of 64 of them by keys and values.
CHUNKED = 2.6


def form(case: Case) -> Work:
    """C and n, [v, 1] k^T, are written and read by each token; keys are half as wide as values."""
    return at_least(2 * H * product(case.tokens, K // 2, K + 1), CHUNKED)
