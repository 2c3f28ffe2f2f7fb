from tests.forms.work import Case, Work, recurrence


def form(case: Case) -> Work:
    """What is written and what is read."""
    return recurrence(case)
