from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.kda import reference, whole

KDA = catalog.load("kda")
definition: Any = reference
OPTIONS: list[dict[str, Any]] = [
    {"key_heads": 2},
    {"lowest": -5.0},
    {"full_rank": "gate"},
    {"full_rank": "both"},
    {"conv": 1},
    {"conv": 2},
    {"key_heads": 1, "head_dim": 24, "lowest": -1.0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer: Any = laws.make(KDA, 70, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference)
    x_BTD = laws.tokens_in(70).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 20)


def test_the_state_is_what_kimi_linear_keeps() -> None:
    layer: Any = laws.make(KDA, 8, causal=True, dim=2304, heads=32, head_dim=128)
    state = layer.init_state(1, 1000)
    assert state.matrix_BHKV.nbytes == 32 * 128 * 128 * 4
    assert state.recent_BSE.shape == (1, 3, 3 * 32 * 128)


def test_the_strongest_decay_of_a_channel_is_exact() -> None:
    """Factors e^b and e^-b, taken apart, would overflow."""
    layer: Any = laws.make(KDA, 130, causal=True)
    inputs = [spec.random(layer, 1, 130) for spec in layer.inputs.values()]
    inputs[3] = torch.where(torch.rand(inputs[3].shape) < 0.3, -200.0, -1e-3)
    with torch.no_grad():
        got = layer.attend(*inputs)
        want = definition(layer.double(), *(x.double() for x in inputs), None)
    assert (got - want).norm() < 1e-4 * want.norm()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key_heads": 0}, "4 heads are not a multiple of key_heads 0"),
        ({"key_heads": 3}, "4 heads are not a multiple of key_heads 3"),
        ({"lowest": 0.0}, "lowest 0.0 is not below 0"),
        ({"conv": -1}, "conv -1 is below 0"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        laws.make(KDA, 8, causal=True, **options)
