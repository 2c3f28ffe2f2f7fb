from tests.forms.work import Case, D, H, K, Work, at_least, attention, ceil, product, window


def form(case: Case) -> Work:
    """A window, projections of what it gives, and a window of pooled keys by stride X.

    A stretch of S tokens is pooled by S weights, each a linear map of the whole stretch.
    """
    options, N = case.options, case.tokens
    S, X = options.pool_size, options.pool_stride
    near, far, stretches = options.window // 2, options.pool_window // (2 * X), ceil(N, X)
    pool = H * (product(stretches, S * K, S) + product(stretches, S, K))
    again = 3 * product(N, D, D)
    first = at_least(attention(window(N, near, near)))
    second = at_least(attention(window(stretches, far, far)))
    return first + again + 2 * pool + X * second
