"""A layer with cold caches, as in a model: copies of it that take turns.

Between two decoding steps of a layer, a model reads the weights of all its other layers. If these
exceed a CPU's caches, each layer's weights come from memory every time; a small layer that is
measured alone stays in the caches. Copies with separate weights, state and input that are called in
turn read as much between two calls of the same one.
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

#: Multiple of the largest cache to read between two calls: not every cache evicts the oldest data
#: first.
TIMES = 2
MOST = 64  # copies; few models have more layers


def made(variant: type[Layer], cell: Cell, *, seed: int) -> list[Subject]:
    """The subject of a cell; for a cold one on a CPU, enough copies to evict it from the caches."""
    first = build(variant, cell, seed=seed)
    if not cell.setting.takes_turns:
        return [first]
    others = range(1, number(first, cell.setting.batch, processor.cache_bytes()))
    return [first, *(build(variant, cell, seed=seed + other) for other in others)]


def number(subject: Subject, tokens: int, cache: int) -> int:
    """How many copies read `TIMES` the cache, within the memory limit of the measurement."""
    read = _read(subject, tokens) or _bytes(subject.tensors) or 1
    fitting = processor.COPIES_BYTES // max(1, _bytes(subject.tensors))
    return max(1, min(ceil(TIMES * cache / read), fitting, MOST))


def in_turn(subjects: Sequence[Subject]) -> Callable[[], Tensor]:
    """A callable that calls the next of them each time."""
    if len(subjects) == 1:
        return subjects[0].call
    turns = cycle(subjects)

    def call() -> Tensor:
        return next(turns).call()

    return call


def _read(subject: Subject, tokens: int) -> int:
    """Bytes of weights that `tokens` tokens read; of the state, a call may read only a part."""
    sparse = (part for part in subject.module.modules() if isinstance(part, Sparse))
    return _bytes(subject.weights) - sum(part.unread_bytes(tokens) for part in sparse)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
