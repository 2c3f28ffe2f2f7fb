from tests.forms.work import Case, K, Work, linear


def form(case: Case) -> Work:
    """The features are as many as channels, and no product makes them."""
    return linear(case, K)
