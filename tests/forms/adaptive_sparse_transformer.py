from tests.forms.work import Case, H, Work, at_least, every, scores


def form(case: Case) -> Work:
    """Scores, and the values that they weigh."""
    work = 2 * scores(every(case))
    return at_least(work) if case.causal else work


def elementwise(case: Case) -> float | None:
    """Newton's steps on each score: difference, clamp, power, sum, and two for the norm.

    Before them maximum, difference and factor; after them most of a step, a product, a quotient.
    Causal, it depends on how many rows are worked on at a time.
    """
    steps = 10 * 6 + 5
    return None if case.causal else H * case.tokens**2 * (3 + steps + 2)
