from tests.forms.work import Case, Work, at_least, attention, every, window


def form(case: Case) -> Work:
    """All scores, or those of a window; backward, the fused kernel makes the gradients of keys and
    values too.
    """
    W = case.options.window
    if W is None:
        return attention(every(case))
    before, after = (W - 1, 0) if case.causal else (W // 2, W // 2)
    return at_least(attention(window(case.tokens, before, after)))
