from tests.forms.work import Case, K, Work, recurrence


def form(case: Case) -> Work:
    """What is written and what is read; values are twice as wide as keys."""
    return recurrence(case, value=2 * K)
