from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.hca import reference, whole
from tests.references.sliding_window import reference as sliding

HCA: Any = catalog.load("hca")
OPTIONS: list[dict[str, Any]] = [
    {"window": 8, "ratio": 4},
    {"window": 5, "ratio": 7, "rope": 0},
    {"window": 1, "ratio": 1, "rope": 16},
    {"window": 3, "ratio": 16, "query_rank": 12, "rotary_base": 100.0},
    {"window": 100, "ratio": 8, "out_groups": 2},
    {"window": 16, "ratio": 61, "out_groups": 4, "out_rank": 3, "query_rank": 5, "heads": 8},
]


def lively(variant: Any, tokens: int, **shape: Any) -> Any:
    """A layer in which no weight is as trivial as it starts."""
    layer = laws.make(variant, tokens, dtype=torch.float64, causal=True, **shape)
    with torch.no_grad():
        for weight in (layer.norm.weight, *layer.compressor.parameters()):
            weight.add_(torch.randn_like(weight) / 2)
    return layer


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer = lively(HCA, 60, **options)
    core = [layer.sink_H, *layer.compressor.parameters()]
    equals_its_reference(layer, reference, parameters=core)
    x_BTD = laws.tokens_in(60).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 60)


@pytest.mark.parametrize("tokens", [1, 6, 7, 8, 13, 14, 97, 98, 105, 150])
def test_groups_of_queries_meet_at_any_length(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effattn_cli.parts.shared_rows.MASK", 252)  # 3 entries, 21 queries
    layer = lively(HCA, tokens, window=4, ratio=7)
    equals_its_reference(layer, reference, parameters=[layer.sink_H])


@pytest.mark.parametrize("window", [1, 2, 17, 18, 64, 130, 300])
def test_blocks_of_the_window_meet(window: int) -> None:
    layer = lively(HCA, 150, window=window, ratio=40)
    equals_its_reference(layer, reference, parameters=[layer.sink_H])


@pytest.mark.parametrize("law", ["gradients", "growth", "decoding", "causality"])
def test_keeps_the_laws_where_entries_count(law: str) -> None:
    laws.LAWS[law](laws.with_options(HCA, {"window": 8, "ratio": 4}))


@torch.no_grad()
def test_before_a_window_is_full_it_is_sliding_window_attention() -> None:
    layer = lively(HCA, 40, window=6, ratio=41, rope=0)
    window: Any = laws.make(
        catalog.load("sliding-window"), 40, dtype=torch.float64, causal=True, window=6,
        sinks="learned", kv_heads=1,
    )  # fmt: skip
    window.sink_H.copy_(layer.sink_H)
    q, kv, entry, gate = layer.project(laws.tokens_in(40).double())
    want = sliding(window, q, kv.unsqueeze(1), kv.unsqueeze(1), None)
    torch.testing.assert_close(layer.attend(q, kv, entry, gate), want, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_an_entry_of_one_token_is_its_row() -> None:
    """Its weight is 1 whatever the gate says; normed twice it stays the same."""
    layer = laws.make(HCA, 20, dtype=torch.float64, causal=True, ratio=1, window=1)
    row_BTK = torch.randn(2, 20, 16).double()
    row_BTK /= row_BTK.square().mean(-1, keepdim=True).sqrt()
    made_BTK = layer.compressor(row_BTK, torch.randn(2, 20, 16).double())
    torch.testing.assert_close(made_BTK, row_BTK, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_scores_and_outputs_know_distances_only() -> None:
    """Tokens that all come later by whole windows give the same: rows are turned back."""
    layer = laws.make(HCA, 80, dtype=torch.float64, causal=True, ratio=4, window=8, rope=16)
    q, kv, entry, gate = (spec.random(layer, 1, 24).double() for spec in layer.inputs.values())
    near = layer.turned(kv, slice(0, 24)), layer.turned(kv, slice(48, 72))
    query = [layer.turned(q.transpose(1, 2), at) for at in (slice(23, 24), slice(71, 72))]
    made = layer.compressor(entry, gate)
    ours = []
    for first, q_BxHK, row in zip((0, 48), (query[0], query[1]), near, strict=True):
        before = layer.turned(made, slice(first, first + 24, 4))
        q_BHK = q_BxHK[:, -1]
        ours.append(layer.from_rows(q_BHK, [row[:, -8:], before], first + 23))
    torch.testing.assert_close(ours[0], ours[1], rtol=1e-5, atol=1e-5)


def test_the_state_is_that_of_the_release() -> None:
    """A ring of 128 rows, a row for every 128 tokens, and a window's tokens and gates in fp32."""
    layer: Any = laws.make(HCA, 1000, causal=True, heads=2, head_dim=512, dtype=torch.bfloat16)
    state = layer.init_state(3, 4096)
    assert state.ring_BWK.shape == (3, 128, 512)
    assert state.entries.row_BZK.shape == (3, 32, 512)
    assert state.entries.row_BZK.dtype == torch.bfloat16
    for buffer in (state.entries.x_BME, state.entries.gate_BME):
        assert buffer.shape == (3, 128, 512)
        assert buffer.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window 0 is below 1"),
        ({"ratio": 0}, "ratio 0 is below 1"),
        ({"rope": 3}, "rope 3 is odd"),
        ({"rope": 18}, "rope 18 is odd, or more than a head's 16 numbers"),
        ({"rotary_base": 1.0}, "rotary_base 1.0 is not above 1"),
        ({"query_rank": -1}, "query_rank -1 is below 0"),
        ({"out_groups": 3}, "out_groups 3 is no divisor of 4 heads"),
        ({"out_groups": 2, "out_rank": 0}, "out_rank 0 is below 1"),
        ({"causal": False}, "is always causal"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        laws.make(HCA, 8, **{"causal": True} | options)
