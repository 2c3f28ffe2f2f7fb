from tests.forms.work import Case, Work, recurrence


def form(case: Case) -> Work:
    """What is known of the key, what is written, and what the query reads."""
    return recurrence(case, passes=3)
