from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from effattn_cli.parts import gathered, rows
from effattn_cli.parts.indexed import highest
from effattn_cli.setting import Phase, Setting
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference, leaves_of
from tests.growth import scaling
from tests.references.dsa import reference, whole
from tests.references.sdpa import reference as exact

Dsa: Any = catalog.load("dsa")
SMALL: dict[str, Any] = {"top": 9, "index_heads": 3, "index_width": 8}
MLA: dict[str, Any] = SMALL | {"over": "mla", "latent": 20, "rope": 6}
POOLS: dict[str, Any] = SMALL | {"top": 8, "pool": 4}
OPTIONS: list[dict[str, Any]] = [
    SMALL | {"kv_heads": 4},
    SMALL | {"kv_heads": 2, "rotary": 0.5},
    SMALL | {"top": 1, "index_heads": 1, "index_width": 7, "rotary": 1.0},
    SMALL | {"top": 2, "shared": True},
    MLA,
    MLA | {"rope": 0, "latent": 7, "top": 20},
    MLA | {"shared": True},
    POOLS | {"kv_heads": 2, "rotary": 0.5},
    POOLS | {"top": 3, "pool": 3},
    POOLS | {"shared": True},
    MLA | POOLS | {"rope": 0},
    MLA | POOLS | {"shared": True, "pool": 2},
]


def dsa(tokens: int, **options: Any) -> Any:
    return laws.make(Dsa, tokens, dtype=torch.float64, causal=True, **options)


def lively(tokens: int, **options: Any) -> Any:
    """Places in a pool do not weigh alike."""
    layer = dsa(tokens, **options)
    if layer.index.pooler is not None:
        layer.index.pooler.bias_RE.normal_()
    return layer


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer = lively(50, **options)
    equals_its_reference(layer, reference, parameters=[*layer.over.parameters()])
    x_BTD = laws.tokens_in(50).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 40)


@pytest.mark.parametrize("options", [SMALL, MLA, MLA | {"shared": True}, MLA | POOLS], ids=str)
@pytest.mark.parametrize("law", [law for law in laws.LAWS if not law.startswith("growth")])
def test_keeps_the_laws_where_there_is_something_to_choose(
    law: str, options: dict[str, Any]
) -> None:
    laws.LAWS[law](laws.with_options(Dsa, options))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("options", [SMALL, MLA, MLA | POOLS], ids=str)
def test_compiles_where_there_is_something_to_choose(options: dict[str, Any], train: bool) -> None:
    torch.compiler.reset()
    layer: Any = laws.make(Dsa, 60, causal=True, **options)
    x_BTD = laws.tokens_in(60)
    with torch.set_grad_enabled(train):
        compiled: Any = torch.compile(layer)
        want, got = layer(x_BTD), compiled(x_BTD)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    if train:
        weights = [*layer.parameters()]
        grads = [torch.autograd.grad(y.square().sum(), weights) for y in (got, want)]
        torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("pays", [False, True])
@pytest.mark.parametrize("options", [SMALL, MLA, POOLS], ids=str)
def test_pieces_change_nothing(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], pays: bool
) -> None:
    for part, numbers in ((rows, 1), (gathered, 2000)):
        monkeypatch.setattr(part, "pieces_pay", lambda _: pays)
        monkeypatch.setattr(part, "CACHED", numbers)
    layer = dsa(50, **options)
    equals_its_reference(layer, reference, parameters=[*layer.over.parameters()])


def test_is_exact_as_far_as_the_choice_reaches() -> None:
    for top, early in ((25, slice(25)), (60, slice(60))):
        layer = dsa(60, top=top, kv_heads=4)
        q, k, v, *index = leaves_of(layer, 60)
        got, want = layer.attend(q, k, v, *index), exact(layer, q, k, v, None)
        torch.testing.assert_close(got[:, :, early], want[:, :, early], rtol=1e-9, atol=1e-9)
        assert top == 60 or (got - want)[:, :, top:].abs().max() > 1e-3


@pytest.mark.parametrize(("size", "count"), [(1, 1), (9, 9), (50, 7), (50, 1), (300, 5), (301, 30)])
def test_the_highest_are_found_and_of_equals_the_first(size: int, count: int) -> None:
    torch.manual_seed(0)
    for scores in (
        torch.randn(4, 3, size),
        torch.randint(-2, 3, (4, 3, size)).float(),
        torch.zeros(4, 3, size),
        torch.randn(4, 3, size).sign() * 1e-45,
        torch.full((4, 3, size), -7.0),
    ):
        want = scores.sort(dim=-1, descending=True, stable=True).indices[..., :count]
        got = highest(scores, count)
        assert torch.equal(got.sort(-1).values, want.sort(-1).values)


def test_a_query_without_scores_attends_the_first_tokens() -> None:
    layer = dsa(40, **SMALL, kv_heads=1)
    q, k, v, index_q, index_k, weight = (x.detach() for x in leaves_of(layer, 40))
    v.requires_grad_()
    y_BHTK = layer.attend(q, k, v, torch.zeros_like(index_q), index_k, weight)
    (grad_BGTK,) = torch.autograd.grad(y_BHTK[:, :, 30].sum(), v)
    assert grad_BGTK.abs().sum((0, 1, 3)).nonzero().flatten().tolist() == list(range(9))


def test_a_shared_index_is_that_of_the_other_layer() -> None:
    first, second = dsa(40, **SMALL), dsa(40, **SMALL, shared=True)
    assert list(second.inputs) == ["q", "k", "v"]
    q, k, v, *index = leaves_of(first, 40)
    position_BTP = first.index.choose(q, *index)
    got = second.attend(q, k, v, position_BTP=position_BTP)
    torch.testing.assert_close(got, first.attend(q, k, v, *index), rtol=0, atol=0)


def test_the_index_learns_nothing_and_is_saved() -> None:
    layer = dsa(40, **POOLS)
    assert {name for name in layer.state_dict() if "index" in name} == {
        *(f"projections.index_{name}.weight" for name in ("q", "k", "weight", "gate")),
        "index.pooler.bias_RE",
    }
    assert not any("index" in name for name, _ in layer.named_parameters())


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({"kv_heads": 2}, [(2, 2, 1000, 16), (2, 2, 1000, 16), (2, 1000, 64)]),
        ({"over": "mla"}, [(2, 1, 1000, 544), (2, 1000, 64)]),
        ({"over": "mla", "shared": True}, [(2, 1, 1000, 544), (2, 1000, 0)]),
    ],
)
def test_decoding_keeps_all_tokens_and_a_key_of_the_index(
    options: dict[str, Any], shapes: list[tuple[int, ...]]
) -> None:
    state = dsa(8, **options).init_state(2, 999)
    assert [x.shape for x in (*state.rows, state.index)] == shapes


def test_decoding_keeps_a_key_of_each_pool_and_the_numbers_of_the_last_tokens() -> None:
    index = dsa(8, pool=16).init_state(2, 999).index
    assert index.row_BZK.shape == (2, 1000 // 16, 64)
    for numbers in (index.x_BME, index.gate_BME):
        assert numbers.shape == (2, 16, 64)


@pytest.mark.in_ci
@pytest.mark.parametrize("phase", ["forward", "train"])
@pytest.mark.parametrize("over", ["gqa", "mla"])
def test_memory_grows_with_the_length(over: str, phase: Phase) -> None:
    setting = Setting(causal=True, scope="core", phase=phase)
    options: dict[str, Any] = {"over": over, "top": 64}
    assert scaling(Dsa, 1024, 4096, setting, options).memory < 1.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "^top 0 is below 1$"),
        ({"index_heads": 0}, "^index_heads 0 is below 1$"),
        ({"index_width": -1}, "^index_width -1 is below 1$"),
        ({"latent": 0}, "^latent 0 is below 1$"),
        ({"pool": 0}, "^pool 0 is below 1$"),
        ({"pool": 7}, "^top 512 is not a multiple of pool 7$"),
        ({"over": "mha"}, "^over 'mha' is not gqa or mla$"),
        ({"over": "mla", "rope": 3}, "^rope 3 is not even"),
        ({"over": "mla", "rope": 128}, "^rope 128 is not even, and from 0 to index_width$"),
        ({"over": "mla", "rotary": 0.5}, "^rotary belongs to over gqa"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        dsa(8, **options)
