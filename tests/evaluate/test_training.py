"""Tiny models: what is tested, what is repeated, and what some are known to learn."""

from typing import Any

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from effattn_cli import catalog
from effattn_cli.attention import Layer, PlainModule
from effattn_cli.catalog import Catalog
from effattn_cli.errors import Unsupported
from effattn_cli.evaluate import training
from effattn_cli.evaluate.model import TinyModel
from effattn_cli.evaluate.task_specs import TASKS
from effattn_cli.evaluate.tasks import draw
from effattn_cli.evaluation import Training
from effattn_cli.measure.output_check import NotFinite
from effattn_cli.plan.evaluation_request import EvaluationRequest
from effattn_cli.plan.mixers import mixers
from effattn_cli.plan.variant_choices import select
from effattn_cli.records import Cell
from tests.evaluate.solvers import Solver

WANTED = Training(rate=0.01, seed=0)


def a_cell(label: str) -> Cell:
    known = Catalog()
    (cell,) = mixers(EvaluationRequest(), select([label], known), known)
    return cell


def a_class(cell: Cell) -> type[Layer]:
    return catalog.load(cell.variant, kind=Layer)


def trained(task: str, label: str, wanted: Training = WANTED) -> Training:
    cell = a_cell(label)
    return training.train(TASKS[task], a_class(cell), cell, wanted)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of a few steps, tested on a few sequences."""
    monkeypatch.setattr(training, "STEPS", 8)
    monkeypatch.setattr(training, "TESTED", 64)


class Nothing(nn.Module):
    """Mixes no tokens."""

    def __init__(self, dim: int, scale: float = 0.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((dim,), scale))

    def forward(self, x_BTD: Tensor) -> Tensor:
        return x_BTD * self.scale


@pytest.mark.parametrize("name", sorted(TASKS))
def test_who_solves_a_task_gets_all_answers_right(name: str) -> None:
    task = TASKS[name]
    model: Any = Solver(name, task.values)
    right = training.test(model, task, a_cell("sdpa"), seed=0, draw=draw)
    assert right == (1.0,) * len(task.loads)


@pytest.mark.parametrize("name", ["recall", "update"])
def test_without_mixing_nothing_is_recalled(name: str, short: None) -> None:
    found = training.train(TASKS[name], PlainModule.of(Nothing), a_cell("fnet"), WANTED)
    assert all(accuracy < 4 / TASKS[name].values for accuracy in found.accuracies)
    assert found.steps_to_90 is None


def test_the_same_seed_gives_the_same_result_and_another_another(short: None) -> None:
    first, same = (trained("parity", "linear-transformer") for _ in range(2))
    other = trained("parity", "linear-transformer", Training(rate=0.01, seed=1))
    assert replace(first, seconds=0) == replace(same, seconds=0)
    assert first.accuracies != other.accuracies


def test_each_load_weighs_the_same_in_the_loss() -> None:
    share_N = training.shares(torch.tensor([8, 8, 8, 64, 2, 2]))
    assert share_N.tolist() == pytest.approx([1 / 9, 1 / 9, 1 / 9, 1 / 3, 1 / 6, 1 / 6])


def test_lengths_begin_short_and_come_to_the_whole() -> None:
    lengths = [training.length(128, step) for step in range(training.STEPS)]
    beginning = int(training.STEPS * training.BEGINNING)
    assert set(lengths[:beginning]) == {8, 16, 32}
    assert lengths[beginning + 1 :].count(128) == pytest.approx(
        (len(lengths) - beginning) / 2, abs=3
    )


def test_accuracy_is_by_load() -> None:
    right_N, load_N = torch.tensor([True, True, False, True]), torch.tensor([8, 8, 64, 64])
    assert training.by_load(right_N, load_N, (8, 64)) == [1.0, 0.5]


@pytest.mark.parametrize(
    ("task", "label", "why"),
    [
        ("recall", "switch-transformer", "mixes no tokens"),
        ("update", "kv-sharing", "reads the cache of a layer that is not here"),
        ("parity", "linformer", "needs a causal mask"),
        ("recall", "token-learner", "another number of tokens"),
    ],
)
def test_what_a_variant_cannot_do_is_said(task: str, label: str, why: str) -> None:
    with pytest.raises(Unsupported, match=why):
        trained(task, label)


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    class Endless(Nothing):
        def __init__(self, dim: int) -> None:
            super().__init__(dim, torch.inf)

    with pytest.raises(NotFinite, match="step 1"):
        training.train(TASKS["recall"], PlainModule.of(Endless), a_cell("fnet"), WANTED)


def test_encoders_are_trained_without_a_mask_and_all_else_with_one() -> None:
    causal = {label: a_cell(label).setting.causal for label in ("linformer", "sdpa", "gla")}
    assert causal == {"linformer": False, "sdpa": True, "gla": True}


def test_the_state_is_that_of_decoding_with_the_mixer_as_it_is_trained() -> None:
    cell = a_cell("linear-transformer:heads=4")
    kept = training.state_bytes(a_class(cell), cell)
    assert kept == cell.setting.batch * 4 * 16 * (16 + 1) * 4  # heads, keys, values and 1, float32
    encoder = a_cell("linformer")
    assert training.state_bytes(a_class(encoder), encoder) is None


def test_places_are_told_where_the_task_says_so_and_nowhere_else() -> None:
    widths = {}
    for name, task in TASKS.items():
        cell = a_cell("sdpa")
        model = TinyModel(task, a_class(cell), cell)
        widths[name] = model.positions_TE.shape[1]
        assert model.keys_SE.shape[0] == task.keys + 1
        assert not model.keys_SE[0].any()
    assert widths == {"recall": 0, "update": 8, "parity": 0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "label", "low", "high"),
    [
        ("recall", "sdpa", 0.95, 1),
        ("recall", "fnet", 0, 0.1),  # mixes by place, not by content
        ("parity", "gated-deltanet:negative=true", 0.9, 1),
        ("parity", "sdpa", 0, 0.7),
    ],
)
def test_what_some_mixers_are_known_to_learn(
    task: str, label: str, low: float, high: float
) -> None:
    found = trained(task, label)
    assert low <= sum(found.accuracies) / len(found.accuracies) <= high
