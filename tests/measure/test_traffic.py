"""Bytes that operators move, written down by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import embedding, embedding_bag

from effattn_cli.measure.operator_counter import Counter
from effattn_cli.parts.grouped import grouped

ROW, TABLE = 16 * 4, 1000 * 16 * 4
FEW = 8 * 5  # bytes of five indices


def moved(run: Callable[..., Any], *inputs: Callable[[], Tensor]) -> tuple[int, int]:
    with FakeTensorMode():
        made = [make() for make in inputs]
        counter = Counter()
        with counter:
            run(*made)
    return counter.cost.read_bytes, counter.cost.write_bytes


def table() -> Tensor:
    return torch.randn(1000, 16)


def few() -> Tensor:
    return torch.zeros(5, dtype=torch.int64)


def rows() -> Tensor:
    return torch.randn(5, 16)


def ends() -> Tensor:
    return torch.zeros(100, dtype=torch.int64)


@pytest.mark.parametrize(
    "pick",
    [
        lambda x, i: x.index_select(0, i),
        lambda x, i: x[i],
        lambda x, i: embedding(i, x),
        lambda x, i: x.take(i.unsqueeze(1).expand(5, 16)),
    ],
)
def test_a_lookup_reads_the_rows_that_it_returns(pick: Callable[..., Tensor]) -> None:
    assert moved(pick, table, few) == (5 * ROW + FEW, 5 * ROW)


def test_a_bag_reads_its_rows() -> None:
    read, _ = moved(lambda x, i: embedding_bag(i.view(1, 5), x, mode="sum"), table, few)
    assert 5 * ROW + FEW <= read <= 5 * ROW + FEW + 100  # and where each bag begins


@pytest.mark.parametrize(
    ("put", "old"),
    [
        (lambda x, i, y: x.index_copy_(0, i, y), 5 * ROW),
        (lambda x, i, y: x.index_add_(0, i, y), 5 * ROW),
        (lambda x, i, y: x.index_put_([i], y, accumulate=True), 5 * ROW),
        (lambda x, i, y: x.scatter_add_(0, i.unsqueeze(1).expand(5, 16), y), 5 * ROW),
    ],
)
def test_a_scatter_in_place_touches_the_rows_that_it_is_given(
    put: Callable[..., Tensor], old: int
) -> None:
    assert moved(put, table, few, rows) == (old + 5 * ROW + FEW, 5 * ROW)


def test_a_single_number_is_put_at_each_place() -> None:
    def put(x: Tensor, i: Tensor) -> Tensor:
        return x.scatter_(0, i.unsqueeze(1), 0.0)

    assert moved(put, table, few) == (5 * 4 + FEW, 5 * 4)


def test_a_copy_out_of_place_is_whole() -> None:
    assert moved(lambda x, i, y: x.index_add(0, i, y), table, few, rows) == (
        TABLE + 5 * ROW + FEW, TABLE,
    )  # fmt: skip


def test_what_is_written_over_is_not_read() -> None:
    assert moved(lambda x: x.zero_(), table) == (0, TABLE)
    assert moved(lambda x: x[:5].copy_(x[5:10]), table) == (5 * ROW, 5 * ROW)
    assert moved(lambda x, y: torch.exp(y, out=x[:5]), table, rows) == (5 * ROW, 5 * ROW)
    assert moved(lambda x, y: x[:5].add_(y), table, rows) == (10 * ROW, 5 * ROW)


def test_groups_without_rows_leave_their_matrices_unread() -> None:
    def weights() -> Tensor:
        return torch.randn(100, 16, 32)

    read, written = moved(grouped, rows, weights, ends)
    assert (read, written) == (5 * ROW + 5 * 16 * 32 * 4 + 800, 5 * 32 * 4)
