from tests.forms.work import Case, Work, attention, every


def form(case: Case) -> Work:
    """The tokens, and M vectors that every query sees."""
    return attention(every(case) + case.tokens * case.options.vectors)
