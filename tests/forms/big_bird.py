from tests.forms.work import Case, Work, attention, ceil, even


def form(case: Case) -> Work:
    """The first and the last block see all; others both of them, 3 around themselves, R more."""
    C, blocks = case.options.block_size, ceil(case.tokens, case.options.block_size)
    rows = (blocks - 2) * (5 + case.options.random_blocks) * C**2
    ends = attention(2 * C * even(case.tokens, C))
    return ends + attention(rows)
