from tests.forms.work import Case, K, Work, at_least, every, scores


def form(case: Case) -> Work:
    """N logits of each token by a layer with a bias, and the values they weigh."""
    work = scores(every(case), width=K + 1) + scores(every(case))
    return at_least(work) if case.causal else work
