from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.mla import reference, whole

MLA: Any = catalog.load("mla")
OPTIONS: list[dict[str, Any]] = [
    {"query_rank": 12},
    {"rope": 0},
    {"rope": 4, "turn": False},
    {"nope": 24, "value": 32, "rope": 4},
    {"nope": 0, "rope": 10, "value": 5, "latent": 7},
    {"nope": 8, "value": 40, "rope": 2, "rotary_base": 100.0},
]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_equals_the_definition(options: dict[str, Any], causal: bool) -> None:
    shape: dict[str, Any] = {"latent": 20} | options
    layer = laws.make(MLA, 60, dtype=torch.float64, causal=causal, **shape)
    equals_its_reference(layer, reference, padded=not causal, parameters=[*layer.up.parameters()])
    x_BTD = laws.tokens_in(60).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    if causal:
        equals_the_forward(layer, 30)


@torch.no_grad()
def test_absorbed_equals_expanded() -> None:
    layer: Any = laws.make(MLA, 40, dtype=torch.float64, causal=True, latent=20, rope=8)
    q, row = (spec.random(layer, 2, 40).double() for spec in layer.inputs.values())
    expanded = layer.up.expanded(q[:, :, -1:], row, causal=False).squeeze(2)
    absorbed = layer.up.one_query(q[:, :, -1], row)
    torch.testing.assert_close(absorbed, expanded, rtol=1e-12, atol=1e-12)


def test_the_state_is_576_numbers_a_token_however_many_heads() -> None:
    for heads in (16, 128):
        layer = laws.make(MLA, 8, causal=True, dim=2048, heads=heads, head_dim=128)
        state = layer.init_state(2, 999)
        assert state.row_BRE.shape == (2, 1000, 576)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 0}, "latent 0 is below 1"),
        ({"rope": 3}, "rope 3 is not even"),
        ({"rope": 0, "nope": 0}, "there is no width at all"),
        ({"value": 0}, "value 0 is below 1"),
        ({"query_rank": -1}, "query_rank -1 is below 0"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        laws.make(MLA, 8, **options)
