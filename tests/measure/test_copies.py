"""Copies of a layer that take turns, so that none stays in the caches."""

from collections import Counter
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from effattn_cli import catalog
from effattn_cli.attention import Layer
from effattn_cli.host import processor
from effattn_cli.measure import copies, latency, peak_memory
from effattn_cli.measure.workload import Subject, build
from effattn_cli.records import Cell, Sampling
from effattn_cli.setting import Setting

MIB = 2**20
COLD = Setting(
    phase="decode", scope="block", causal=True, dim=128, heads=4, cache="cold", feed="swiglu:256"
)


def a_cell(variant: str = "sdpa", seq: int = 64, **axes: Any) -> Cell:
    return Cell(variant=variant, seq=seq, setting=replace(COLD, **axes))


def subject_of(cell: Cell) -> Subject:
    return build(catalog.load(cell.variant, kind=Layer), cell)


def made(cell: Cell) -> list[Subject]:
    return copies.made(catalog.load(cell.variant, kind=Layer), cell, seed=0)


def test_as_many_copies_as_read_twice_the_cache() -> None:
    subject = subject_of(a_cell())
    weights = sum(weight.nbytes for weight in subject.weights)
    assert weights == 4 * (4 * 128 * 128 + 3 * 128 * 256 + 4 * 128)
    assert copies.number(subject, 1, 4 * weights) == 8
    assert copies.number(subject, 1, weights // 2) == 1
    assert copies.number(subject, 1, 2**40) == copies.MOST


def test_a_token_reads_the_experts_that_it_meets() -> None:
    subject = subject_of(a_cell(feed="swiglu:256*8/2"))
    expert = 4 * 3 * 128 * 256
    rest = sum(weight.nbytes for weight in subject.weights) - 8 * expert
    cache = 4 * (rest + 2 * expert)
    assert copies.number(subject, 1, cache) == 8
    assert copies.number(subject, 4, cache) < 4  # they may meet every expert
    assert copies.number(subject, 100, cache) < 4


def test_a_core_has_no_weights_and_reads_what_it_keeps() -> None:
    subject = subject_of(a_cell(scope="core"))
    kept = sum(x.nbytes for x in subject.tensors)
    assert copies.number(subject, 1, 3 * kept) == 6


def test_copies_take_no_more_than_an_instrument_may(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of(a_cell(seq=4096))
    size = sum(x.nbytes for x in subject.tensors)
    monkeypatch.setattr(processor, "COPIES_BYTES", 3 * size + 1)
    assert copies.number(subject, 1, 2**40) == 3
    monkeypatch.setattr(processor, "COPIES_BYTES", 1)
    assert copies.number(subject, 1, 2**40) == 1


def test_each_copy_has_weights_state_and_input_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "cache_bytes", lambda: MIB)
    one, other, *_ = made(a_cell())
    assert one.state
    places = {x.data_ptr() for x in one.tensors if x.numel()}
    assert not places & {x.data_ptr() for x in other.tensors}
    assert not torch.equal(one.inputs[0], other.inputs[0])
    assert len(made(a_cell(cache="warm"))) == 1


def test_in_a_period_each_copy_makes_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "cache_bytes", lambda: MIB)
    monkeypatch.setattr(copies, "MOST", 3)
    cell = a_cell("h-transformer-1d", 64)
    subjects = made(cell)
    steps = subjects[0].steps
    assert (len(subjects), steps > 1) == (3, True)
    called: Counter[tuple[int, int]] = Counter()
    for place, subject in enumerate(subjects):
        own = subject.call

        def noted(place: int = place, subject: Subject = subject, own: Any = own) -> Any:
            called[place, subject.decoding._next] += 1  # type: ignore[union-attr]
            return own()

        subject.call = noted
    call = copies.in_turn(subjects)
    for _ in range(2 * 3 * steps):
        call()
    assert called == {(place, step): 2 for place in range(3) for step in range(steps)}


def test_a_cold_cell_is_timed_over_its_copies_and_its_memory_is_that_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processor, "cache_bytes", lambda: MIB)
    cell = a_cell()
    variant = catalog.load("sdpa")
    assert len(made(cell)) > 2
    run = latency.measure(variant, cell, Sampling(rounds=1, max_samples=8))
    assert run.samples
    assert run.warmup % len(made(cell)) == 0
    cold, warm = (
        peak_memory.measure(variant, replace(cell, setting=setting), Sampling()).memory
        for setting in (cell.setting, replace(cell.setting, cache="warm"))
    )
    assert (cold.weight_bytes, cold.state_bytes) == (warm.weight_bytes, warm.state_bytes)
    assert cold.peak_bytes == warm.peak_bytes
