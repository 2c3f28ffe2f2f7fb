from tests.forms.work import Case, Work, recurrence


def form(case: Case) -> Work:
    """What is known of the key to erase, what is erased, what is written, and what is read."""
    return recurrence(case, passes=4)
