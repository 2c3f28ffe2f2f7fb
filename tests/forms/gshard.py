from tests.forms.work import HIDDEN, Case, Work, mixture


def form(case: Case) -> Work:
    """Two experts a token."""
    return mixture(case, 2, wide=HIDDEN)
