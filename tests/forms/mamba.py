from tests.forms.work import Case, D, Work, product


def form(case: Case) -> Work:
    """What C reads of each channel's state. What B writes is a product of single numbers, and so
    is what C gets back; backward, C, B and what is written are sums over channels or states.
    """
    read = product(case.tokens, case.options.state, D)
    return Work(read.forward, 3 * read.forward)
