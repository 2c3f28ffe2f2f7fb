from tests.forms.work import Case, Work, attention, ceil


def form(case: Case) -> Work:
    """In every head, each of n blocks of queries sees one of n blocks of keys."""
    n = case.options.blocks
    return attention(n * ceil(case.tokens, n) ** 2)
