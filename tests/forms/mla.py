from tests.forms.work import Case, D, K, Work, at_least, every, product, scores


def form(case: Case) -> Work:
    """Keys and values of all heads out of the latent; then keys are wider than values."""
    C, R = case.options.latent, case.options.rope
    made = product(case.tokens, C, 2 * D)
    pairs = every(case)
    both = scores(pairs, width=K + R) + scores(pairs, width=K)
    return at_least(made + Work(both.forward, both.forward * 5 // 2))
