"""Bytes that an operator reads and writes, by the shapes of its arguments.

All of its arguments, except partially accessed ones: a lookup reads only the rows that it returns,
not the table, and an in-place scatter leaves the rest of its target untouched.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_iter

Args = Sequence[Any]


def _result(args: Args, outs: Sequence[Tensor]) -> int:  # noqa: ARG001
    return touched(outs[0])


def _bag(args: Args, outs: Sequence[Tensor]) -> int:  # noqa: ARG001
    table, index = args[:2]
    return int(index.numel()) * _row(table)


def _groups(args: Args, outs: Sequence[Tensor]) -> int:  # noqa: ARG001
    """At most as many matrices as there are rows: the others have none."""
    rows, matrices = args[:2]
    return min(len(rows), len(matrices)) * _row(matrices)


#: The index, among the arguments, of what is gathered from, and the most that is read of it.
PICKED: dict[str, tuple[int, Callable[[Args, Sequence[Tensor]], int]]] = {
    "aten.index": (0, _result),
    "aten.index_select": (0, _result),
    "aten.gather": (0, _result),
    "aten.take": (0, _result),
    "aten.embedding": (0, _result),
    "aten._embedding_bag": (0, _bag),
    "aten._embedding_bag_forward_only": (0, _bag),
    "effattn.grouped": (1, _groups),
}
#: The index of what is written to the first argument, at positions that the others specify.
PUT = {
    "aten.index_put_": 2, "aten._index_put_impl_": 2, "aten.index_add_": 3, "aten.index_copy_": 3,
    "aten.scatter_": 3, "aten.scatter_add_": 3,
}  # fmt: skip
#: Operators that overwrite their first argument without reading it.
UNREAD = frozenset(
    "aten.copy_ aten.fill_ aten.zero_ aten.normal_ aten.uniform_ aten.random_ aten.exponential_"
    " aten.bernoulli_".split()
)


def moved(func: Any, args: Args, ins: Sequence[Tensor], outs: Sequence[Tensor]) -> tuple[int, int]:
    """Bytes read and bytes written; `ins` are the tensors among the arguments."""
    name = str(func.overloadpacket)
    read, written = sum(map(touched, ins)), sum(map(touched, outs))
    if name in PICKED:
        index, maximum = PICKED[name]
        read -= max(0, touched(args[index]) - maximum(args, outs))
    elif name in PUT:
        source = args[PUT[name]]
        size = touched(source) if isinstance(source, Tensor) else _numbers(args[2], args[0])
        rest = max(0, touched(args[0]) - size)
        read, written = read - rest, written - rest
    elif name in UNREAD:
        read -= touched(args[0])
    return read, written


def tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_iter(tree) if isinstance(leaf, Tensor))


def touched(tensor: Tensor) -> int:
    """Bytes behind a tensor; an expanded one is read from its actual storage."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _row(table: Tensor) -> int:
    return table[0].numel() * table.element_size()


def _numbers(index: Tensor, like: Tensor) -> int:
    return index.numel() * like.element_size()
