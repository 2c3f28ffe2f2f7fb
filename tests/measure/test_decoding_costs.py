"""A decoding cell stands for a typical step: the mean over a period of them."""

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from effattn_cli import catalog
from effattn_cli.attention import Decodable, Layer
from effattn_cli.measure import decoding_costs
from effattn_cli.measure.counting import count
from effattn_cli.measure.operator_counter import Counter
from effattn_cli.measure.workload import Subject, build
from effattn_cli.records import Cell, Cost
from effattn_cli.setting import Setting

NAMES = [
    name
    for name in catalog.bundled_names()
    if issubclass(catalog.load(name, kind=Layer), Decodable)
]
SMALL: dict[str, dict[str, int]] = {  # short periods, so that each step can be counted
    "transformer-xl": {"segment": 24, "memory": 24},
    "compressive-transformer": {"segment": 24, "memory": 24, "compressed": 12},
    "image-transformer": {"block": 24, "memory": 24},
}


def a_cell(name: str, seq: int, **options: int) -> Cell:
    setting = Setting(phase="decode", causal=True, dim=64, heads=4)
    return Cell(variant=name, options=options, seq=seq, setting=setting)


def stepped(cell: Cell) -> list[Cost]:
    """The cost of each step of a period, counted one after the other."""
    costs = []
    with FakeTensorMode(allow_non_fake_inputs=True):
        subject = build(catalog.load(cell.variant), cell, device="cpu", eager=True)
        assert subject.decoding is not None
        for context in subject.decoding.contexts:
            counter = Counter()
            counter.watch(*subject.tensors)
            state = subject.decoding.state(context)
            with counter:
                subject.decoding.step(state)
            costs.append(counter.cost)
    return costs


@pytest.mark.in_ci
@pytest.mark.parametrize("seq", [90, 96])
@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_tell_the_mean_of_all(name: str, seq: int) -> None:
    cell = a_cell(name, seq, **SMALL.get(name, {}))
    costs, got = stepped(cell), count(catalog.load(name), cell).cost
    assert got.steps == len(costs)
    for field in decoding_costs.SUMMED:
        assert getattr(got, field) == round(sum(getattr(c, field) for c in costs) / len(costs))
    if len(costs) > 1:
        assert got.worst_flops == max(cost.flops for cost in costs)


def test_closing_a_row_is_a_part_of_what_a_step_costs_and_not_all() -> None:
    """At 4k, which rows of 64 divide, the last step alone took 49 times as much as a mean one."""
    cost = count(catalog.load("axial-transformer"), a_cell("axial-transformer", 4096)).cost
    assert cost.steps == 64
    assert cost.worst_flops is not None
    assert cost.worst_flops > 20 * cost.flops


def test_steps_go_round_and_the_last_adds_the_last_token() -> None:
    cell = a_cell("axial-transformer", 100, width=10)
    subject: Subject = build(catalog.load("axial-transformer"), cell)
    decoding: Any = subject.decoding
    assert (subject.steps, list(decoding.contexts)) == (10, list(range(90, 100)))
    lengths = []
    for _ in range(21):
        lengths.append(decoding._state.length)
        assert subject.call().isfinite().all()
    assert lengths == [*range(90, 100), *range(90, 100), 90]


def test_a_sequence_shorter_than_a_period_is_all_its_steps() -> None:
    subject = build(catalog.load("transformer-xl"), a_cell("transformer-xl", 7))
    assert subject.steps == 7
    assert torch.stack([subject.call() for _ in range(9)]).isfinite().all()
