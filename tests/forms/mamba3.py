from tests.forms.work import Case, Work, recurrence


def form(case: Case) -> Work:
    """What is written and what is read, of a state with N numbers for each channel of a head."""
    return recurrence(case, key=case.options.state)
