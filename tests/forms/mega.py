from tests.forms.work import CHUNKED, Case, D, Work, at_least, cut_up, product, triangle


def form(case: Case) -> Work:
    """What enters the averages and what leaves them, each way; z; scores and values of a chunk."""
    N, options = case.tokens, case.options
    ways = 1 if case.causal else 2
    averages = 2 * ways * product(N * D, options.average, 1)
    pairs = sum(triangle(C) if case.causal else C**2 for C in cut_up(N, options.chunk))
    attention = product(pairs, options.width, 1) + product(pairs, 2 * D, 1)
    return at_least(averages + product(N, D, options.width) + attention, CHUNKED)
