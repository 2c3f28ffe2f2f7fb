"""What stands in the place of the feed-forward."""

from tests.forms.work import Case, D, Work, ceil, form, product

HIDDEN = 4 * D


def mixture(case: Case, choices: int, *, wide: int, hidden: int = HIDDEN) -> Work:
    """A router, and two layers for each pair of a token and an expert that has a seat.

    An expert has a share of capacity / experts of a group in seats.
    """
    options, N = case.options, case.tokens
    group = min(N, getattr(options, "group", N))
    capacity = options.capacity if case.train else options.eval_capacity
    groups = ceil(N, group)
    seats = groups * options.experts * min(group, int(group * capacity / options.experts))
    rows = min(choices * groups * group, seats)
    experts = product(rows, D, wide) + product(rows, hidden, D)
    return product(N, D, options.experts) + experts


@form
def switch_transformer(case: Case) -> Work:
    """One expert a token."""
    return mixture(case, 1, wide=HIDDEN)


@form
def gshard(case: Case) -> Work:
    """Two experts a token."""
    return mixture(case, 2, wide=HIDDEN)


@form
def glam(case: Case) -> Work:
    """Two experts a token, of many."""
    return mixture(case, 2, wide=HIDDEN)


@form
def st_moe(case: Case) -> Work:
    """Two experts a token, with gates: three matrices of 8 / 3 D hidden units, in whole eights."""
    hidden = 8 * (8 * D // 3 // 8)
    return mixture(case, 2, wide=2 * hidden, hidden=hidden)


@form
def product_key_memory(case: Case) -> Work:
    """H queries a token, whose two halves score J keys each; the values are only gathered."""
    options, N = case.options, case.tokens
    half = options.width // 2
    find = 2 * options.queries * product(N, half, options.keys)
    return product(N, D, options.queries * options.width) + find


@form
def scaling_transformers(case: Case) -> Work:
    """A controller of rank R, and the dense layers: many tokens use most units between them."""
    N, R = case.tokens, case.options.rank
    return product(N, D, R) + product(N, R, HIDDEN) + 2 * product(N, D, HIDDEN)
