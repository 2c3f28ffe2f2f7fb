"""The arithmetic of closed forms: what a product costs forward and backward, and for which pairs.

A form is a function named after its variant. It is written from the mechanism and from how its
blocks are cut, and never from what the counter said. H heads, K head width, D = H K.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil as up
from math import log2, sqrt
from typing import Any

D, H = 512, 8
K = D // H
CACHED = 2**20  # scores that variants which hold them hold at a time


@dataclass(frozen=True)
class Case:
    tokens: int
    causal: bool
    train: bool
    options: Any  # the variant's Config, with its defaults


@dataclass(frozen=True)
class Work:
    """FLOPs of matrix products; a multiply-add is two.

    `needed` is the forward work without the pairs that are scored and then masked out.
    """

    forward: int = 0
    backward: int = 0
    needed: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.forward + other.forward,
            self.backward + other.backward,
            self.needed + other.needed,
        )

    def __rmul__(self, times: int) -> "Work":
        return Work(times * self.forward, times * self.backward, times * self.needed)


Form = Callable[[Case], Work]
FORMS: dict[str, Form] = {}
Other = Callable[[Case], float]
OTHERS: dict[str, Other] = {}


def form(function: Form) -> Form:
    FORMS[_named(function)] = function
    return function


def other(function: Other) -> Other:
    """A form of the forward work outside of products: operations on each element."""
    OTHERS[_named(function)] = function
    return function


def _named(function: Callable[..., Any]) -> str:
    return function.__name__.replace("_", "-")


def product(rows: int, inner: int, columns: int, *, learn: int = 2) -> Work:
    """(rows, inner) by (inner, columns); backward, one product for each operand that learns."""
    flops = 2 * rows * inner * columns
    return Work(flops, learn * flops, flops)


def scores(pairs: int, *, admitted: int | None = None, width: int = K, learn: int = 2) -> Work:
    """A product of `width` for each pair of a query and a key, in all heads."""
    flops = 2 * H * width
    return Work(flops * pairs, learn * flops * pairs, flops * (admitted or pairs))


def attention(pairs: int, *, admitted: int | None = None, mask_learns: bool = False) -> Work:
    """Scores and weighted values; `pairs` as computed, of which `admitted` count.

    Backward, four products more; five in the fused kernel, which makes the scores again. A mask
    that learns is not for that one.
    """
    both = 2 * scores(pairs, admitted=admitted)
    return both if mask_learns else Work(both.forward, both.forward * 5 // 2, both.needed)


def near_root(tokens: int) -> int:
    """About sqrt N: a multiple of 16 that divides N, of those within sqrt 2, else rounded up."""
    root = sqrt(tokens)
    able = [n for n in range(16, tokens, 16) if tokens % n == 0 and 1 / 2 <= n * n / tokens <= 2]
    return min(able, key=lambda n: round(abs(log2(n / root)), 9)) if able else up(root)


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


def stairs(tokens: int, block: int) -> int:
    """Pairs where each query scores all keys up to the end of its block of queries."""
    blocks, rest = divmod(tokens, block)
    return triangle(tokens) + blocks * triangle(block - 1) + triangle(max(0, rest - 1))


def at_once(queries: int, keys: int, least: int = 64) -> int:
    """Queries of a block whose scores in all heads stay in a cache."""
    return min(queries, max(least, CACHED // (H * keys)))


def window(tokens: int, before: int, after: int) -> int:
    """Pairs of each query with so many keys before it, itself, and so many after it."""
    return tokens * (before + 1 + after) - triangle(before) - triangle(after)


def cut(before: int, after: int) -> tuple[int, int]:
    """The queries of a block, a quarter of the window in whole sixteens, and the keys it scores."""
    block = 16 * max(1, ceil(before + after, 64))
    return block, even(before, block) + block + even(after, block)


def band(tokens: int, before: int, after: int, *, first: int = 0) -> Work:
    """That window and the `first` keys, which stand beside each block of keys."""
    block, looks = cut(before, after)
    far = sum(max(0, tokens - before - 1 - key) for key in range(first))
    return attention(
        even(tokens, block) * (looks + looks // block * first),
        admitted=window(tokens, before, after) + far,
    )
