from tests.forms.work import HIDDEN, Case, D, Work, product


def form(case: Case) -> Work:
    """A controller of rank R, and the dense layers: many tokens use most units between them."""
    N, R = case.tokens, case.options.rank
    return product(N, D, R) + product(N, R, HIDDEN) + 2 * product(N, D, HIDDEN)
