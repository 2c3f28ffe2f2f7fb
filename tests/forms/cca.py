from tests.forms.work import Case, Work, attention, every


def form(case: Case) -> Work:
    """Exact attention; the convolutions belong to the projections."""
    return attention(every(case))
