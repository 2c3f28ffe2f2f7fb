from tests.forms.work import SOFTMAX, Case, D, H, Work, attention


def form(case: Case) -> Work:
    """All N^2 scores in plain products, whether they are masked or not."""
    return attention(case.tokens**2, mask_learns=True)


def elementwise(case: Case) -> float:
    """Queries are scaled; causal, all scores are masked."""
    return case.tokens * D + (SOFTMAX + case.causal) * H * case.tokens**2
