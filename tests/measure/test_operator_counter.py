"""Counted costs against closed forms."""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import (
    conv1d,
    conv_transpose1d,
    embedding_bag,
    linear,
    scaled_dot_product_attention,
    softmax,
)

from effattn_cli import catalog
from effattn_cli.measure.counting import count
from effattn_cli.measure.operator_counter import Counter
from effattn_cli.records import Cell, Cost
from effattn_cli.setting import Setting

MIB = 2**20


def counted(run: Callable[..., Any], *shapes: tuple[int, ...], grad: bool = False) -> Cost:
    with FakeTensorMode():
        inputs = [torch.randn(*shape, requires_grad=grad) for shape in shapes]
        counter = Counter()
        counter.watch(*inputs)
        with counter:
            out: Tensor = run(*inputs)
            if grad:
                torch.autograd.grad(out, inputs, torch.ones_like(out))
        return counter.cost


QKV = ((2, 4, 512, 64), (2, 4, 512, 64), (2, 4, 512, 64))
DENSE = 4 * 2 * 4 * 512**2 * 64


@pytest.mark.parametrize(
    ("run", "shapes", "flops"),
    [
        (lambda a, b: a @ b, ((30, 40), (40, 50)), 2 * 30 * 40 * 50),
        (lambda a, b: a @ b, ((6, 30, 40), (6, 40, 50)), 6 * 2 * 30 * 40 * 50),
        (linear, ((7, 30, 40), (50, 40)), 7 * 2 * 30 * 40 * 50),
        (lambda a, b: torch.einsum("bik,bjk->bij", a, b), ((3, 8, 9), (3, 5, 9)), 6 * 8 * 5 * 9),
        (lambda a, b: a.mv(b), ((30, 40), (40,)), 2 * 30 * 40),
        (scaled_dot_product_attention, QKV, DENSE),
        (lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True), QKV,
         DENSE * 513 // 1024),
        (lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True),
         (QKV[0], (2, 4, 256, 64), (2, 4, 256, 64)),
         4 * 2 * 4 * 64 * (256 * 257 // 2 + 256 * 256)),
        (lambda q, k, v: scaled_dot_product_attention(q, k, v, enable_gqa=True),
         ((2, 8, 512, 64), QKV[1], QKV[2]), 2 * DENSE),
    ],
)  # fmt: skip
def test_matmul_flops(run: Callable[..., Any], shapes: Any, flops: int) -> None:
    assert counted(run, *shapes).matmul_flops == flops


def test_attention_backward_is_five_products_to_the_forwards_two() -> None:
    cost = counted(scaled_dot_product_attention, *QKV, grad=True)
    assert cost.matmul_flops == DENSE * 7 // 2


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize(("convolve", "places"), [(conv1d, 96), (conv_transpose1d, 100)])
def test_convolution_backward_is_two_products_to_the_forwards_one(
    convolve: Callable[..., Tensor], places: int, groups: int
) -> None:
    shapes = (2, 8, 100), (8, 8 // groups, 5)
    forward = 2 * 2 * 8 * places * (8 // groups) * 5
    assert counted(lambda x, w: convolve(x, w, groups=groups), *shapes).matmul_flops == forward
    cost = counted(lambda x, w: convolve(x, w, groups=groups), *shapes, grad=True)
    assert cost.matmul_flops == 3 * forward


def test_elementwise_reductions_and_transcendentals() -> None:
    assert counted(lambda x: x + 1, (10, 20)).other_flops == 200
    assert counted(lambda x: x.masked_fill_(x > 0, 0), (10, 20)).other_flops == 2 * 200
    assert counted(lambda x: x.exp(), (10, 20)).transcendentals == 200
    assert counted(lambda x: x.sum(), (10, 20)).other_flops == 200
    assert counted(lambda x: softmax(x, -1), (10, 20)).transcendentals == 200
    assert counted(torch.fft.rfft, (1, 1024)).other_flops == 2.5 * 1024 * 10
    assert counted(lambda x: x.sort(), (4, 1024)).other_flops == 4 * 1024 * 10


@pytest.mark.parametrize("causal", [False, True])
def test_the_softmax_of_fused_attention_counts_as_one_by_itself(causal: bool) -> None:
    def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v, is_causal=causal)

    pairs = 2 * 4 * (512 * 513 // 2 if causal else 512**2)
    alone, both = (
        counted(lambda x: softmax(x, -1), (pairs, 1), grad=grad) for grad in (False, True)
    )
    assert counted(fused, *QKV).other_flops == alone.other_flops
    again = 2 * pairs  # a difference and an exponential
    assert counted(fused, *QKV, grad=True).other_flops == both.other_flops + again


def test_rows_that_are_gathered_and_added_up() -> None:
    def bag(table: Tensor, weights: Tensor | None = None) -> Tensor:
        slots = torch.zeros(7, 3, dtype=torch.int64)
        return embedding_bag(slots, table, per_sample_weights=weights, mode="sum")

    once = 7 * 3 * 16
    assert counted(bag, (50, 16)).other_flops == once
    assert counted(bag, (50, 16), grad=True).other_flops == 2 * once
    assert counted(bag, (50, 16), (7, 3)).other_flops == 2 * once
    assert counted(bag, (50, 16), (7, 3), grad=True).other_flops == 6 * once


def test_a_copy_moves_bytes_and_computes_nothing() -> None:
    cost = counted(lambda x: x.mT.contiguous(), (10, 20))
    assert (cost.flops, cost.moved_bytes) == (0, 2 * 800)


def test_views_are_free() -> None:
    cost = counted(lambda x: x.transpose(0, 1)[2:].unsqueeze(0).expand(3, -1, -1), (10, 20))
    assert (cost.flops, cost.moved_bytes, cost.peak_bytes) == (0, 0, 0)


def test_bytes_of_an_expanded_input_are_those_of_its_storage() -> None:
    cost = counted(lambda x: x.expand(100, 1000) + 1, (1000,))
    assert cost.read_bytes == 4000
    assert cost.write_bytes == 400_000


def test_the_peak_is_what_lives_at_once() -> None:
    def run(x: Tensor) -> Tensor:
        y = x + 1  # 1 MiB
        z = y * 2  # 2 MiB
        del y
        return z + 1  # z and the result: 2 MiB again

    assert counted(run, (MIB // 4,)).peak_bytes == 2 * MIB
    assert counted(lambda x: (x + 1).mul_(2).add_(3), (MIB // 4,)).peak_bytes == MIB


def test_gradients_are_added_in_place_where_autograd_alone_holds_them() -> None:
    def run(x: Tensor) -> Tensor:
        return (x * 2).add_(x * 3).sum()

    x = torch.randn(MIB // 4, requires_grad=True)
    with torch.profiler.profile(profile_memory=True, acc_events=True) as real:
        torch.autograd.grad(run(x), x)
    events = [e for e in real.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = list(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())))
    assert max(live) // MIB == 2  # the two gradients, and not their sum beside them
    assert counted(run, (MIB // 4,), grad=True).peak_bytes == pytest.approx(max(live), abs=100)


def test_the_whole_of_linformer_by_hand() -> None:
    B, N, R, D = 2, 4096, 256, 512
    cell = Cell(variant="linformer", seq=N, setting=Setting(batch=B))
    cost = count(catalog.load("linformer"), cell).cost
    assert cost.matmul_flops == 2 * (2 * B * N * R * D) + 4 * B * N * R * D


@pytest.mark.parametrize("seq", [4096, 65536, 2**20])
def test_any_length_is_counted_without_memory(seq: int) -> None:
    counted = count(catalog.load("sdpa"), Cell(variant="sdpa", seq=seq))
    assert counted.cost.matmul_flops == 4 * 8 * seq**2 * 64
    assert counted.resident_bytes == 3 * 4 * seq * 512
