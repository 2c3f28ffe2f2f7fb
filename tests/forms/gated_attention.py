from tests.forms.work import Case, Work, attention, every


def form(case: Case) -> Work:
    """That of exact attention: a gate is no product of matrices."""
    return attention(every(case))
