from tests.forms.work import Case, D, Work, product


def form(case: Case) -> Work:
    """H queries a token, whose two halves score J keys each; the values are only gathered."""
    options, N = case.options, case.tokens
    half = options.width // 2
    find = 2 * options.queries * product(N, half, options.keys)
    return product(N, D, options.queries * options.width) + find
