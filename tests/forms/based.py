from tests.forms.work import Case, Work, linear


def form(case: Case) -> Work:
    """A constant, d numbers, and each product of two of them once; no matrix makes them."""
    d = case.options.feature_dim
    return linear(case, 1 + d + d * (d + 1) // 2)
