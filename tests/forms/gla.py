from tests.forms.work import Case, K, Work, at_least, recurrence


def form(case: Case) -> Work:
    """What is written and what is read. Keys are half as wide as values, and as chunks are long."""
    return at_least(recurrence(case, key=K // 2), 2.4)
