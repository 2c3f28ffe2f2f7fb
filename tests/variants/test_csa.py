from collections.abc import Sequence
from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from effattn_cli.parts import gathered, rows
from effattn_cli.parts.indexed import choose
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.csa import OPTIONS, of_x, reference

CSA: Any = catalog.load("csa")
EACH: list[dict[str, Any]] = [
    {},
    {"ratio": 1, "top": 3},
    {"window": 5, "ratio": 7, "top": 1, "rope": 0},
    {"window": 30, "top": 1},  # some choose before the window is full
    {"window": 99, "top": 2},
    {"top": 2, "query_rank": 12, "rotary_base": 100.0, "rope": 12},
    {"window": 1, "ratio": 2, "top": 4, "index_heads": 1, "index_width": 2},
    {"top": 100, "out_groups": 2},
    {"ratio": 3, "out_groups": 4, "out_rank": 3, "query_rank": 5, "index_heads": 8},
]
SMALL = OPTIONS | {"top": 3}


def lively(tokens: int, **shape: Any) -> Any:
    """A layer in which no weight is as trivial as it starts."""
    layer = laws.make(CSA, tokens, dtype=torch.float64, causal=True, **OPTIONS | shape)
    compressors = [*layer.compressor.parameters(), *layer.indexer.buffers()]
    with torch.no_grad():
        for weight in (layer.norm.weight, *compressors):
            weight.add_(torch.randn_like(weight) / 2)
    return layer


@pytest.mark.parametrize("options", EACH, ids=str)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer = lively(60, **options)
    equals_its_reference(
        layer, reference, parameters=[layer.sink_H, *layer.compressor.parameters()]
    )
    x_BTD = laws.tokens_in(60).double()
    torch.testing.assert_close(layer(x_BTD), of_x(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 60)


def test_the_whole_layer_has_the_gradients_of_its_definition() -> None:
    layer, x_BTD = lively(50, query_rank=12, out_groups=2), laws.tokens_in(50).double()
    x_BTD.requires_grad_()
    leaves = [x_BTD, *layer.parameters()]
    got, want = (
        torch.autograd.grad(y_BTD.square().sum(), leaves)
        for y_BTD in (layer(x_BTD), of_x(layer, x_BTD))
    )
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def test_the_indexer_learns_nothing_and_is_saved() -> None:
    layer = lively(20)
    saved = {name for name in layer.state_dict() if "index" in name}
    projected = {f"projections.index_{name}.weight" for name in ("q", "weight", "entry", "gate")}
    assert saved == projected | {"indexer.bias_RE", "indexer.norm.weight"}
    assert not any("index" in name for name, _ in layer.named_parameters())


@pytest.mark.parametrize("tokens", [23, 24, 41, 130])
def test_pieces_of_queries_meet(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, name, number in ((gathered, "CACHED", 1), (rows, "CACHED", 1), (rows, "LEAST", 7)):
        monkeypatch.setattr(part, name, number)
    layer = lively(tokens, window=25, top=4)
    equals_its_reference(layer, reference, parameters=[layer.sink_H])


@pytest.mark.parametrize(
    "law", ["shape and dtype", "batch independence", "padding", "causality", "decoding"]
)
def test_keeps_the_laws_where_few_are_chosen(law: str) -> None:
    laws.LAWS[law](laws.with_options(CSA, SMALL))


@pytest.mark.in_ci
def test_grows_like_the_indexer_where_that_is_most_of_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows, "LEAST", 256)  # few pieces are soon counted
    options = {"window": 16, "top": 16, "index_heads": 64}
    laws.LAWS["growth"](laws.with_options(CSA, options))


@torch.no_grad()
def test_where_the_indexer_sees_nothing_the_first_entries_are_chosen() -> None:
    layer = lively(60, top=4)
    inputs = list(layer.project(laws.tokens_in(60).double()))
    inputs[5] = torch.zeros_like(inputs[5])
    want = reference(*(layer, *inputs, None))
    torch.testing.assert_close(layer.attend(*inputs), want, rtol=1e-9, atol=1e-9)
    key_BZX = torch.randn(2, 15, 12).double()
    choice_BTN = choose(4, inputs[4], key_BZX, inputs[5], ratio=4)
    assert choice_BTN.sort(-1).values.unique(dim=1).tolist() == [[[0, 1, 2, 3]]] * 2


@torch.no_grad()
def test_with_room_for_all_entries_the_indexer_changes_nothing() -> None:
    x_BTD, outs = laws.tokens_in(60).double(), []
    for top in (15, 14):
        layer = lively(60, top=top)
        outs.append(layer(x_BTD))
        layer.projections["index_weight"].weight.neg_()
        outs.append(layer(x_BTD))
    torch.testing.assert_close(outs[0], outs[1], rtol=0, atol=0)
    torch.testing.assert_close(outs[2][:, :59], outs[0][:, :59], rtol=1e-9, atol=1e-9)
    assert not torch.allclose(outs[2][:, 59], outs[3][:, 59])


@torch.no_grad()
def test_an_entry_is_made_of_its_window_and_the_one_before() -> None:
    layer = lively(20)
    x_BTE, gate_BTE = torch.randn(2, 1, 20, 32).double()
    entry_BZK, made = layer.compressor(x_BTE, gate_BTE), []
    for t in range(20):
        changed = x_BTE.clone()
        changed[:, t] += 1
        other_BZK = layer.compressor(changed, gate_BTE)
        made.append(_which(entry_BZK[0] != other_BZK[0]))
    assert made == [[w, w + 1] if w < 4 else [w] for w in range(5) for _ in range(4)]


def _which(differs_ZK: torch.Tensor) -> Sequence[int]:
    return differs_ZK.any(-1).nonzero().flatten().tolist()


def test_the_state_is_that_of_the_release() -> None:
    """A ring of 128 rows, an entry and a key for every 4 tokens, and for each of the two
    compressors both series of two windows and their gates, in fp32.
    """
    layer: Any = laws.make(CSA, 1000, causal=True, heads=2, head_dim=512, dtype=torch.bfloat16)
    state = layer.init_state(3, 4096)
    assert state.ring_BWK.shape == (3, 128, 512)
    for entries, width in ((state.entries, 512), (state.index, 128)):
        assert entries.row_BZK.shape == (3, 1024, width)
        assert entries.row_BZK.dtype == torch.bfloat16
        for buffer in (entries.x_BME, entries.gate_BME):
            assert buffer.shape == (3, 8, 2 * width)
            assert buffer.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top 0 is below 1"),
        ({"index_heads": 0}, "index_heads 0 is below 1"),
        ({"index_width": 0}, "index_width 0 is below 1"),
        ({"index_width": 6, "rope": 8}, "index_width 6 is below the 8 of rope"),
        ({"ratio": 0}, "ratio 0 is below 1"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        laws.make(CSA, 8, **{"causal": True} | options)
