"""A layer as cold as it is in a model: copies of it that take turns.

Between two steps of decoding a model reads the weights of all its other layers. Where these are
more than a CPU's caches hold, each layer's weights come from memory every time; a small layer that
is measured alone stays in the caches. Copies, each with weights, state and input of its own, that
are called one after another, read as much between two calls of the same one.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from math import ceil

from torch import Tensor

from effattn_cli.attention import Layer
from effattn_cli.host import processor
from effattn_cli.measure.feed_forwards import Sparse
from effattn_cli.measure.workload import Subject, build
from effattn_cli.records import Cell

#: Times the largest cache, for what is read between two calls: not every cache forgets first what
#: it read first.
TIMES = 2
MOST = 64  # copies; few models have more layers


def made(variant: type[Layer], cell: Cell, *, seed: int) -> list[Subject]:
    """The subject of a cell; of a cold one on a CPU, as many as leave nothing in its caches."""
    first = build(variant, cell, seed=seed)
    if not cell.setting.takes_turns:
        return [first]
    others = range(1, number(first, cell.setting.batch, processor.cache_bytes()))
    return [first, *(build(variant, cell, seed=seed + other) for other in others)]


def number(subject: Subject, tokens: int, cache: int) -> int:
    """Of copies that read `TIMES` the cache, and take no more than an instrument may."""
    read = _read(subject, tokens) or _bytes(subject.tensors) or 1
    fitting = processor.COPIES_BYTES // max(1, _bytes(subject.tensors))
    return max(1, min(ceil(TIMES * cache / read), fitting, MOST))


def in_turn(subjects: Sequence[Subject]) -> Callable[[], Tensor]:
    """A call of one of them, of the next one each time."""
    if len(subjects) == 1:
        return subjects[0].call
    turns = cycle(subjects)

    def call() -> Tensor:
        return next(turns).call()

    return call


def _read(subject: Subject, tokens: int) -> int:
    """Bytes of weights that so many tokens read; of what is kept, a call may read a part only."""
    sparse = (part for part in subject.module.modules() if isinstance(part, Sparse))
    return _bytes(subject.weights) - sum(part.unread_bytes(tokens) for part in sparse)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
