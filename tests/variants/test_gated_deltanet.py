from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.gated_deltanet import reference, whole

GatedDeltaNet = catalog.load("gated-deltanet")
definition: Any = reference
OPTIONS: list[dict[str, Any]] = [
    {"key_heads": 2},
    {"value_width": 24},
    {"negative": True},
    {"gate": "sigmoid"},
    {"conv": 2},
    {"epsilon": 0.1},
    {"key_heads": 1, "head_dim": 24, "value_width": 8},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer: Any = laws.make(GatedDeltaNet, 70, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference)
    x_BTD = laws.tokens_in(70).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 20)


def test_the_state_is_what_qwen3_next_keeps() -> None:
    layer: Any = laws.make(
        GatedDeltaNet, 8, causal=True, dim=2048, heads=32, key_heads=16, head_dim=128
    )
    state = layer.init_state(1, 1000)
    assert state.matrix_BHKV.nbytes == 2 * 2**20
    assert state.recent_BSE.shape == (1, 3, 2 * 16 * 128 + 32 * 128)


@torch.no_grad()
def test_keys_that_are_alike_are_solved_exactly() -> None:
    """Powers of the products of keys, in place of merged inverses, would be off by far here."""
    layer: Any = laws.make(GatedDeltaNet, 128, causal=True)
    q, k, v, decay, beta, gate = (spec.random(layer, 1, 128) for spec in layer.inputs.values())
    k, beta, decay = torch.ones_like(k) + 0.3 * k, torch.ones_like(beta), torch.zeros_like(decay)
    inputs = q, k, v, decay, beta, gate
    got = layer.attend(*inputs)
    want = definition(layer.double(), *(x.double() for x in inputs), None)
    assert (got - want).norm() < 1e-4 * want.norm()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key_heads": 0}, "4 heads are not a multiple of key_heads 0"),
        ({"value_width": 0}, "value_width 0 is below 1"),
        ({"key_heads": 3}, "4 heads are not a multiple of key_heads 3"),
        ({"gate": "relu"}, "gate 'relu' is neither silu nor sigmoid"),
        ({"conv": -1}, "conv -1 is below 0"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        laws.make(GatedDeltaNet, 8, causal=True, **options)
