from tests.forms.work import Case, Work, at_least, attention, every


def form(case: Case) -> Work:
    """Exact attention; what a gate leaves is added to the scores.

    At least: backward the sums may be channels of the keys, and the length rounded up to halve it.
    """
    return at_least(attention(every(case)))
