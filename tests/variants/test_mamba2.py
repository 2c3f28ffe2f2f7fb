from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.mamba2 import reference, whole

Mamba2 = catalog.load("mamba2")


@pytest.mark.parametrize(
    "options",
    [{"groups": 4, "state": 16}, {"groups": 1}, {"state": 7, "conv": 2}, {"head_dim": 24}],
    ids=str,
)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer: Any = laws.make(Mamba2, 70, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference)
    x_BTD = laws.tokens_in(70).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 20)


def test_the_state_is_what_nemotron_3_nano_keeps() -> None:
    layer: Any = laws.make(Mamba2, 8, causal=True, dim=2688, heads=64, head_dim=64, groups=8)
    state = layer.init_state(1, 1000)
    assert state.matrix_BHKV.nbytes == 2 * 2**20
    assert state.recent_BSE.shape == (1, 3, 64 * 64 + 2 * 8 * 128)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 3}, "4 heads are no multiple of groups 3"),
        ({"groups": 0}, "groups 0 is below 1"),
        ({"state": 0}, "state 0 is below 1"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        laws.make(Mamba2, 8, causal=True, **options)
