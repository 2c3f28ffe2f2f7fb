"""The arithmetic of closed forms: what a product costs forward and backward, and for which pairs.

A form is a function `form(case)` in a file named after its variant. It is written from the
mechanism, never from what the counter said, and knows nothing of how an implementation cuts its
work: where that decides what is computed, the form is `at_least` what the definition admits. Sizes
of blocks that the definition leaves open are pinned by the file's `OPTIONS`, and the operations
outside of products, where they are fixed, are those of its `elementwise(case)`.

H heads, K head width, D = H K.
"""

from dataclasses import dataclass, replace
from typing import Any

D, H = 512, 8
K = D // H
HIDDEN = 4 * D  # units of a feed-forward
SOFTMAX = 4  # passes over the scores: maximum, difference, exponential, sum
USUAL = 1.45  # of what the definition admits: blocks and bands are scored whole
#: A causal kernel's chunks form the products of their own tokens with each other, beside the sums.
CHUNKED = 2.1
SOLVED = 3.1  # and a delta rule's solution of each chunk


@dataclass(frozen=True)
class Case:
    tokens: int
    causal: bool
    train: bool
    options: Any  # the variant's Config, with its defaults


@dataclass(frozen=True)
class Work:
    """FLOPs of matrix products; a multiply-add is two.

    With a `slack` of 1 they are what is computed, to the last one; else the least that can be, and
    that many times as much is still well made.
    """

    forward: int = 0
    backward: int = 0
    slack: float = 1.0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.forward + other.forward,
            self.backward + other.backward,
            max(self.slack, other.slack),
        )

    def __rmul__(self, times: int) -> "Work":
        return Work(times * self.forward, times * self.backward, self.slack)


def at_least(work: Work, slack: float = USUAL) -> Work:
    """How its blocks are cut decides what an implementation computes beyond this."""
    return replace(work, slack=slack)


def product(rows: int, inner: int, columns: int, *, learn: int = 2) -> Work:
    """(rows, inner) by (inner, columns); backward, one product for each operand that learns."""
    flops = 2 * rows * inner * columns
    return Work(flops, learn * flops)


def scores(pairs: int, *, width: int = K, learn: int = 2) -> Work:
    """A product of `width` for each pair of a query and a key, in all heads."""
    flops = 2 * H * width * pairs
    return Work(flops, learn * flops)


def attention(pairs: int, *, mask_learns: bool = False) -> Work:
    """Scores and weighted values.

    Backward, four products more; five in the fused kernel, which makes the scores again. A mask
    that learns is not for that one.
    """
    both = 2 * scores(pairs)
    return both if mask_learns else Work(both.forward, both.forward * 5 // 2)


def ceil(number: int, size: int) -> int:
    """How many times `size` holds it."""
    return -(-number // size)


def even(number: int, size: int) -> int:
    """The next multiple of `size`."""
    return ceil(number, size) * size


def triangle(tokens: int) -> int:
    """Pairs of a query and a key up to it."""
    return tokens * (tokens + 1) // 2


def every(case: Case) -> int:
    """All pairs, or those in order."""
    return triangle(case.tokens) if case.causal else case.tokens**2


def window(tokens: int, before: int, after: int) -> int:
    """Pairs of each query with so many keys before it, itself, and so many after it."""
    before, after = min(before, tokens - 1), min(after, tokens - 1)
    return tokens * (before + 1 + after) - triangle(before) - triangle(after)


def cut_up(tokens: int, length: int) -> list[int]:
    """The lengths of the segments."""
    return [min(length, tokens - at) for at in range(0, tokens, length)]


def relative_attention(queries: int, memory: int) -> Work:
    """Content and position scores of a segment that sees a memory and itself, causal."""
    seen = memory * queries + triangle(queries)
    return at_least(attention(seen, mask_learns=True) + scores(seen))


def linear(case: Case, features: int) -> Work:
    """phi(q) (phi(k)^T [v, 1])."""
    work = 2 * H * product(case.tokens, features, K + 1)
    return at_least(work, CHUNKED) if case.causal else work


def recurrence(case: Case, *, key: int = K, value: int = K, passes: int = 2) -> Work:
    """A state of key by value numbers a head, which each token goes through so many times: to
    write, to read, and in a delta rule to see what is known of its key.

    In chunks the tokens are multiplied with each other besides, and solved for in a delta rule.
    """
    work = passes * H * product(case.tokens, key, value)
    return at_least(work, CHUNKED if passes == 2 else SOLVED)


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
