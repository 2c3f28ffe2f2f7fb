from tests.forms.work import Case, D, Work, attention, even, product


def form(case: Case) -> Work:
    """A product with each centre for all heads, and chunks of C tokens."""
    C = case.options.chunk
    return product(case.tokens, D, case.options.clusters, learn=0) + attention(
        even(case.tokens, C) * C
    )
