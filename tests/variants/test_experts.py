"""What the mixtures of experts share: seats, groups, choices in training, and few tokens."""

import itertools
from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import FeedForward
from effattn_cli.errors import Unsupported
from effattn_cli.parts.experts import seated
from effattn_cli.parts.grouped import grouped
from tests.test_laws import reference_of

MIXTURES = ("glam", "gshard", "st-moe", "switch-transformer")


def made(name: str, tokens: int = 130, **options: Any) -> Any:
    variant = catalog.load(name, kind=FeedForward)
    return laws.make(variant, tokens, dtype=torch.float64, **options)


def table(seats: Any) -> list[list[int]]:
    """The tokens of each expert."""
    ends = [0, *seats.end_E.tolist()]
    assert not seats.gate_R[ends[-1] :].any()
    return [seats.token_R[i:j].tolist() for i, j in itertools.pairwise(ends)]


def test_the_first_tokens_take_the_seats() -> None:
    chosen_BCT = torch.tensor([[[1, 0, 1, 1, 3, 1, 2]]])  # 3 is none
    seats = seated(chosen_BCT, torch.ones(1, 1, 7), experts=3, group=7, room=2)
    assert table(seats) == [[1], [0, 2], [6]]
    assert seats.wanted_GE.tolist() == [[1, 4, 1]]
    assert len(seats.token_R) == 6  # as many as there are seats


def test_first_choices_sit_down_before_second_ones() -> None:
    chosen_BCT = torch.tensor([[[0, 1, 1], [1, 0, 0]]])
    gates_BCT = torch.tensor([[[0.6, 0.7, 0.8], [0.4, 0.3, 0.2]]])
    seats = seated(chosen_BCT, gates_BCT, experts=2, group=3, room=2)
    assert table(seats) == [[0, 1], [1, 2]]
    torch.testing.assert_close(seats.gate_R, torch.tensor([0.6, 0.3, 0.7, 0.8]))


def test_every_group_of_every_sequence_has_its_own_seats() -> None:
    chosen_BCT = torch.zeros(2, 1, 5, dtype=torch.long)
    chosen_BCT[1, 0, :2] = 1
    seats = seated(chosen_BCT, torch.ones(2, 1, 5), experts=2, group=3, room=1)
    assert table(seats) == [[0, 3, 7, 8], [5]]
    assert len(seats.token_R) == 8  # for four groups of two experts with a seat each


def test_groups_of_rows_are_multiplied_by_their_own_matrices() -> None:
    x, w = (torch.randn(*shape, dtype=torch.float64, requires_grad=True)
            for shape in ((9, 3), (4, 3, 5)))  # fmt: skip
    end = torch.tensor([2, 2, 7, 8])
    parts = [x[i:j] @ w[e] for e, (i, j) in enumerate([(0, 2), (2, 2), (2, 7), (7, 8)])]
    want = torch.cat([*parts, torch.zeros(1, 5, dtype=torch.float64)])
    got = grouped(x, w, end)
    torch.testing.assert_close(got, want)
    upstream = torch.randn_like(want)
    for mine, theirs in zip(*(torch.autograd.grad(y, (x, w), upstream) for y in (got, want)),
                            strict=True):  # fmt: skip
        torch.testing.assert_close(mine, theirs)
    operator = torch.ops.effattn.grouped.default
    torch.library.opcheck(operator, (x, w, end), test_utils=("test_schema", "test_faketensor"))


@torch.no_grad()
@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize(
    "options", [{"experts": 2, "eval_capacity": 0.3}, {"experts": 5, "group": 12}, {"experts": 3}]
)
def test_other_options_equal_the_reference(name: str, options: dict[str, Any]) -> None:
    if name == "switch-transformer":
        options = {key: value for key, value in options.items() if key != "group"}
    layer = made(name, **options)
    valid_BT = torch.arange(130) < torch.tensor([[130], [71]])
    x_BTD = laws.tokens_in(130, dtype=torch.float64)
    got, want = (run(x_BTD, valid_BT)[valid_BT] for run in (layer, bound(name, layer)))
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def bound(name: str, layer: Any) -> Any:
    return lambda x_BTD, valid_BT: reference_of(name)[0](layer, x_BTD, valid_BT)


@torch.no_grad()
@pytest.mark.parametrize("name", MIXTURES)
def test_one_token_reads_its_own_experts_only(name: str) -> None:
    layer, x_BD = made(name, experts=16), laws.tokens_in(1, dtype=torch.float64)[:, 0]
    want = layer.decode(x_BD)
    used = torch.zeros(16, dtype=torch.bool)
    used[layer._choose(x_BD.unsqueeze(1), None)[0]] = True
    layer.experts.up_EDF[~used] = torch.nan
    torch.testing.assert_close(layer.decode(x_BD), want, rtol=0, atol=0)


@torch.no_grad()
def test_a_token_without_a_seat_gets_nothing() -> None:
    layer = made("switch-transformer", experts=2, eval_capacity=0.1)
    y_BTD = layer(laws.tokens_in(130, dtype=torch.float64))
    assert ((y_BTD != 0).any(-1).sum(1) == 12).all()  # six seats an expert
    used = layer.usage(laws.tokens_in(130, dtype=torch.float64))
    assert used.dropped == pytest.approx(1 - 12 / 130)


@torch.no_grad()
@pytest.mark.parametrize(("name", "sure"), [("gshard", 0.5), ("glam", 0.5), ("st-moe", 0.2)])
def test_in_training_a_second_choice_is_made_in_proportion_to_its_weight(
    name: str, sure: float
) -> None:
    layer: Any = made(name, 2000).train()
    gates, made_ = [], []
    for _ in range(20):
        chosen_BCT, gate_BCT = layer._choose(laws.tokens_in(2000, dtype=torch.float64), None)
        assert (chosen_BCT[:, 0] < layer.number).all()
        made_.append((chosen_BCT[:, 1] < layer.number).double())
        gates.append(layer.eval()._choose(laws.tokens_in(2000, dtype=torch.float64), None)[1][:, 1])
        layer.train()
        assert torch.equal(gate_BCT[:, 1], gates[-1])
    expected = (torch.stack(gates) / sure).clamp(max=1)
    for low in (0.0, 0.25, 0.5, 0.75):
        part = (expected >= low) & (expected < low + 0.25)
        if part.sum() > 2000:
            share = torch.stack(made_)[part].mean()
            assert share == pytest.approx(float(expected[part].mean()), abs=0.05)


@torch.no_grad()
def test_in_training_there_is_less_room() -> None:
    layer: Any = made("switch-transformer", 1000, jitter=0.0)
    assert (layer.train()._room(1000), layer.eval()._room(1000)) == ((1000, 156), (1000, 250))
    assert layer._room(3) == (3, 3)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("gshard", {"experts": 1}, "experts 1 is below 2"),
        ("switch-transformer", {"experts": 0}, "experts 0 is below 1"),
        ("glam", {"capacity": 0.0}, "a capacity of 0.0 is not above 0"),
        ("st-moe", {"group": 0}, "group 0 is below 1"),
    ],
)
def test_refusals(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(Unsupported, match=f"^{says}$"):
        made(name, **options)
