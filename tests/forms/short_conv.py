from tests.forms.work import Case, D, Work


def form(case: Case) -> Work:
    """A few multiplications of each channel: no product of matrices."""
    return Work()


def elementwise(case: Case) -> float:
    """A multiplication for each tap, an addition between them, and two gates."""
    return case.tokens * D * (2 * case.options.taps - 1 + 2)
