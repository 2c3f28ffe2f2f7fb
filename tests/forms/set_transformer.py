from tests.forms.work import Case, D, Work, attention, product


def form(case: Case) -> Work:
    """M points read all, become keys and values, and are read by all."""
    pairs = case.tokens * case.options.points
    return attention(pairs) + 2 * product(case.options.points, D, D) + attention(pairs)
