from tests.forms.work import Case, Work, at_least, attention, window


def form(case: Case) -> Work:
    """Every head scores as far back as it may learn to look, S keys; the mask learns."""
    seen = window(case.tokens, case.options.span - 1, 0)
    return at_least(attention(seen, mask_learns=True))
