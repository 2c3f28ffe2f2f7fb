from tests.forms.work import Case, H, K, Work, linear, product


def form(case: Case) -> Work:
    """R fixed directions, of each a sine and a cosine."""
    R = case.options.directions
    return 2 * H * product(case.tokens, K, R, learn=1) + linear(case, 2 * R)
