from tests.forms.work import Case, K, Work, at_least, every, scores


def form(case: Case) -> Work:
    """Two softmaxes over K channels for each pair of heads, and values of 2 K for each of them.

    At least: a kernel that wants one width fills up the K.
    """
    pairs = every(case)
    return at_least(scores(pairs) + scores(pairs, width=2 * K))
