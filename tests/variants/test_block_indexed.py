from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from effattn_cli.parts import rows, selected
from effattn_cli.setting import Phase, Setting
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference, leaves_of
from tests.growth import scaling
from tests.references.block_indexed import reference, whole
from tests.references.sdpa import reference as exact

BlockIndexed: Any = catalog.load("block-indexed")
SMALL: dict[str, Any] = {"block": 8, "top": 3, "index_width": 6}
MEAN: dict[str, Any] = SMALL | {"pool": "mean", "index_heads": 3}
OPTIONS: list[dict[str, Any]] = [
    SMALL | {"kv_heads": 4},
    SMALL | {"kv_heads": 2, "rotary": 0.5},
    SMALL | {"kv_heads": 1, "block": 7},
    SMALL | {"top": 1},
    SMALL | {"block": 1, "top": 5},
    MEAN | {"kv_heads": 2, "rotary": 1.0},
    MEAN | {"top": 1, "block": 5},
    MEAN | {"index_heads": 1, "kv_heads": 4, "top": 2},
]


def made(tokens: int, **options: Any) -> Any:
    return laws.make(BlockIndexed, tokens, dtype=torch.float64, causal=True, **options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer = made(61, **options)
    equals_its_reference(layer, reference)
    x_BTD = laws.tokens_in(61).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 50)


@pytest.mark.parametrize("options", [SMALL, MEAN], ids=str)
@pytest.mark.parametrize("law", [law for law in laws.LAWS if not law.startswith("growth")])
def test_keeps_the_laws_where_there_is_something_to_choose(
    law: str, options: dict[str, Any]
) -> None:
    laws.LAWS[law](laws.with_options(BlockIndexed, options))


@pytest.mark.slow
@pytest.mark.parametrize("options", [SMALL, MEAN], ids=str)
def test_compiles_where_there_is_something_to_choose(options: dict[str, Any]) -> None:
    torch.compiler.reset()
    layer: Any = laws.make(BlockIndexed, 60, causal=True, **options)
    compiled: Any = torch.compile(layer)
    x_BTD = laws.tokens_in(60)
    with torch.no_grad():
        want, got = layer(x_BTD), compiled(x_BTD)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pays", [False, True])
@pytest.mark.parametrize("options", [SMALL, MEAN], ids=str)
def test_pieces_change_nothing(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], pays: bool
) -> None:
    for part in (rows, selected):
        monkeypatch.setattr(part, "pieces_pay", lambda _: pays)
        monkeypatch.setattr(part, "CACHED", 1)
    monkeypatch.setattr(rows, "LEAST", 5)
    equals_its_reference(made(61, **options), reference)


@pytest.mark.parametrize(("options", "first"), [(SMALL, 24), (MEAN, 32)])
def test_is_exact_as_far_as_the_blocks_reach(options: dict[str, Any], first: int) -> None:
    layer = made(80, **options, kv_heads=1)
    q, k, v, *index = leaves_of(layer, 80)
    got, want = layer.attend(q, k, v, *index), exact(layer, q, k, v, None)
    torch.testing.assert_close(got[:, :, :first], want[:, :, :first], rtol=1e-9, atol=1e-9)
    assert (got - want)[:, :, first:].abs().max() > 1e-3


@pytest.mark.parametrize(("options", "others"), [(SMALL, [0, 1]), (MEAN, [0, 1, 2])])
def test_of_blocks_without_scores_the_first_are_attended(
    options: dict[str, Any], others: list[int]
) -> None:
    layer = made(60, **options, kv_heads=1)
    q, k, v, index_q, index_k = (x.detach() for x in leaves_of(layer, 60))
    y_BHTK = layer.attend(q, k, v.requires_grad_(), torch.zeros_like(index_q), index_k)
    (grad_BGTK,) = torch.autograd.grad(y_BHTK[:, :, 50].sum(), v)
    seen = grad_BGTK.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
    assert seen == [8 * z + i for z in others for i in range(8)] + [48, 49, 50]


def test_each_kv_head_has_blocks_of_its_own_choice_by_their_best_token() -> None:
    layer = made(40, block=8, top=2, index_width=2, kv_heads=2)
    q, k, v, index_q, index_k = (torch.zeros_like(x) for x in leaves_of(layer, 40))
    index_k[:, 3, 0] = index_k[:, 20, 1] = 1  # the rest of their blocks is no better than others
    index_q[:, 0, :, 0] = index_q[:, 1, :, 1] = 1
    y_BHTK = layer.attend(q, k, v.requires_grad_(), index_q, index_k)
    for head, block in ((0, 0), (3, 2)):
        (grad_BGTK,) = torch.autograd.grad(y_BHTK[:, head, 32].sum(), v, retain_graph=True)
        seen = grad_BGTK.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
        assert seen == [*range(8 * block, 8 * block + 8), 32]


def test_decoding_keeps_all_tokens_and_one_key_of_the_index() -> None:
    state = made(100, block=8, kv_heads=2, index_width=6).init_state(3, 70)
    assert state.cache.k_BGZCK.shape == (3, 2, 13, 8, 16)
    assert state.index_BRW.shape == (3, 104, 6)
    assert state.length == 70


@pytest.mark.in_ci
@pytest.mark.parametrize("phase", ["forward", "train"])
@pytest.mark.parametrize("pool", ["max", "mean"])
def test_memory_grows_with_the_length(pool: str, phase: Phase) -> None:
    setting = Setting(causal=True, scope="core", phase=phase)
    options: dict[str, Any] = {"pool": pool, "top": 4}
    assert scaling(BlockIndexed, 2048, 6144, setting, options).memory < 1.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": 0}, "^block 0 is below 1$"),
        ({"top": 0}, "^top 0 is below 1$"),
        ({"index_width": 0}, "^index_width 0 is below 1$"),
        ({"pool": "min"}, "^pool 'min' is not max or mean$"),
        ({"index_heads": 3}, "^index_heads 3 is not one for each kv head$"),
        ({"index_heads": 0, "pool": "mean"}, "^index_heads 0 is not one for each kv head$"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        made(8, **options)
