from tests.forms.work import Case, Work, attention, cut_up, triangle


def form(case: Case) -> Work:
    """Causal attention of each chunk by itself, the last as long as it is."""
    return attention(sum(map(triangle, cut_up(case.tokens, case.options.chunk))))
