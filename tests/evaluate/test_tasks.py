"""The labels of the synthetic tasks, against solvers that go through the tokens one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator

from effattn_cli.evaluate.task_specs import TASKS, Task
from effattn_cli.evaluate.tasks import NOT_ASKED, Batch, draw
from tests.evaluate.solvers import SOLVERS, first_value

ALL = sorted(TASKS)


def drawn(name: str, seed: int = 0, tokens: int = 128, batch: int = 24) -> Batch:
    return draw(TASKS[name], batch, tokens, Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32), tokens=st.sampled_from([8, 16, 32, 64, 128, 131, 300]))
@settings(max_examples=15, deadline=None)
def test_labels_follow_from_the_tokens(name: str, seed: int, tokens: int) -> None:
    batch = drawn(name, seed, tokens)
    for keys, values, labels in zip(
        batch.keys_BT.tolist(), batch.values_BT.tolist(), batch.labels_BT.tolist(), strict=True
    ):
        answers = SOLVERS[name](keys, values)
        assert {place: label for place, label in enumerate(labels) if label >= 0} == answers


@pytest.mark.parametrize(("name", "times"), [("recall", 1), ("update", 2)])
def test_a_load_is_the_number_of_keys_each_of_which_is_asked_once(name: str, times: int) -> None:
    batch = drawn(name)
    loads = batch.load_BT[:, 0].tolist()
    assert set(loads) == {*TASKS[name].easy, *TASKS[name].loads}
    for row, load in enumerate(loads):
        written = batch.keys_BT[row][batch.values_BT[row] > 0].tolist()
        asked = batch.keys_BT[row][batch.labels_BT[row] != NOT_ASKED].tolist()
        assert len(asked) == len(set(asked)) == load
        assert sorted(written) == sorted(times * asked)


def test_the_first_value_of_a_key_is_no_answer_to_which_was_the_last() -> None:
    batch = drawn("update", batch=200)
    right = asked = 0
    for keys, values, labels in zip(
        batch.keys_BT.tolist(), batch.values_BT.tolist(), batch.labels_BT.tolist(), strict=True
    ):
        for place, answer in first_value(keys, values).items():
            right, asked = right + (labels[place] == answer), asked + 1
    assert right / asked < 0.1  # 1 of 64 by chance


def test_the_load_of_parity_is_the_bits_so_far_up_to_a_power_of_two() -> None:
    load_T = drawn("parity").load_BT[0]
    assert load_T[:9].tolist() == [1, 2, 4, 4, 8, 8, 8, 8, 16]
    assert load_T[64:].unique().tolist() == [128]


@pytest.mark.parametrize("task", TASKS.values(), ids=ALL)
def test_loads_have_room_in_a_sequence_and_keys_enough(task: Task) -> None:
    assert set(task.loads) <= set(task.fitting(128))
    assert max(task.loads) <= task.keys or task.is_prefix
    assert task.fitting(8)


@pytest.mark.parametrize("name", ["recall", "update"])
def test_only_the_loads_that_are_asked_for_come_in_turn(name: str) -> None:
    loads = TASKS[name].loads[:3]
    batch = draw(TASKS[name], 7, 128, Generator().manual_seed(0), loads)
    assert batch.load_BT[:, 0].tolist() == [*loads, *loads, loads[0]]


@pytest.mark.parametrize("name", ALL)
def test_a_seed_gives_the_same_sequences_and_another_others(name: str) -> None:
    first, same, other = drawn(name, 3), drawn(name, 3), drawn(name, 4)
    assert torch.equal(first.values_BT, same.values_BT)
    assert not torch.equal(first.values_BT, other.values_BT)
