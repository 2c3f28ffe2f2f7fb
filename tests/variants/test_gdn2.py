from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.gdn2 import reference, whole

GDN2 = catalog.load("gdn2")
definition: Any = reference
OPTIONS = [
    {"key_heads": 2}, {"value_width": 24}, {"negative": True}, {"conv": 1}, {"conv": 2},
    {"key_heads": 1, "head_dim": 24, "value_width": 5},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer: Any = laws.make(GDN2, 70, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference)
    x_BTD = laws.tokens_in(70).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 20)


def test_it_is_kimi_delta_attention_when_one_number_erases_and_writes() -> None:
    """But for what the norm of the output adds to a square; what comes before it is the same."""
    layer: Any = laws.make(GDN2, 130, dtype=torch.float64, causal=True)
    kda: Any = laws.make(catalog.load("kda"), 130, dtype=torch.float64, causal=True)
    made = {name: spec.random(layer, 1, 130).double() for name, spec in layer.inputs.items()}
    made["v"] = 1e6 * made["v"]
    beta_BHT = made["erase"][..., 0]
    made["erase"] = made["write"] = beta_BHT.unsqueeze(-1).expand_as(made["v"])
    want = kda.attend(*(made[n] for n in ("q", "k", "v", "decay")), beta_BHT, made["gate"])
    torch.testing.assert_close(layer.attend(*made.values()), want, rtol=1e-9, atol=1e-9)


def test_the_state_is_that_of_kimi_delta_attention_however_keys_are_shared() -> None:
    for key_heads in (16, 4):
        layer: Any = laws.make(
            GDN2, 8, causal=True, dim=2048, heads=16, head_dim=128, key_heads=key_heads
        )
        state = layer.init_state(1, 1000)
        assert state.matrix_BHKV.nbytes == 16 * 128 * 128 * 4
        assert state.recent_BSE.shape == (1, 3, (2 * key_heads + 16) * 128)


def test_the_strongest_decay_of_a_channel_is_exact() -> None:
    layer: Any = laws.make(GDN2, 130, causal=True)
    inputs = [spec.random(layer, 1, 130) for spec in layer.inputs.values()]
    inputs[3] = torch.where(torch.rand(inputs[3].shape) < 0.3, -200.0, -1e-3)
    with torch.no_grad():
        got = layer.attend(*inputs)
        want = definition(layer.double(), *(x.double() for x in inputs), None)
    assert (got - want).norm() < 1e-4 * want.norm()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key_heads": 3}, "4 heads are not a multiple of key_heads 3"),
        ({"key_heads": 0}, "4 heads are not a multiple of key_heads 0"),
        ({"value_width": 0}, "value_width 0 is below 1"),
        ({"conv": -1}, "conv -1 is below 0"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        laws.make(GDN2, 8, causal=True, **options)
