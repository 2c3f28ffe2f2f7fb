from tests.forms.work import Case, D, Work, at_least


def form(case: Case) -> Work:
    """A product for each tap of each channel; those of the taps' gradient are sums by themselves.

    A few outputs after the end are computed too.
    """
    flops = 2 * case.options.taps * case.tokens * D
    return at_least(Work(flops, flops))


def elementwise(case: Case) -> float:
    """Two gates."""
    return 2 * case.tokens * D
