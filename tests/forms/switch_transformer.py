from tests.forms.work import HIDDEN, Case, Work, mixture


def form(case: Case) -> Work:
    """One expert a token."""
    return mixture(case, 1, wide=HIDDEN)
