from tests.forms.work import Case, Work, attention, every


def form(case: Case) -> Work:
    """All scores; backward, the fused kernel makes the gradients of keys and values too."""
    return attention(every(case))
