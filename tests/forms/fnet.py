from math import log2

from tests.forms.work import Case, D, Work


def form(case: Case) -> Work:
    """A Fourier transform is no product."""
    return Work()


def elementwise(case: Case) -> float:
    """A Fourier transform of N D real numbers: 5 / 2 n log2 n."""
    return 2.5 * case.tokens * D * log2(case.tokens * D)
