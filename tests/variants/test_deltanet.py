from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.deltanet import reference, whole

DeltaNet = catalog.load("deltanet")


@pytest.mark.parametrize("options", [{"negative": True}, {"conv": 2}, {"conv": 0}], ids=str)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer: Any = laws.make(DeltaNet, 70, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference)
    if layer.conv is not None:
        x_BTD = laws.tokens_in(70).double()
        torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 20)


@torch.no_grad()
def test_a_key_that_comes_again_has_its_value_replaced() -> None:
    """With b = 1 the last value of a key is read, whatever came before."""
    layer: Any = laws.make(DeltaNet, 6, dtype=torch.float64, causal=True)
    keys = torch.eye(16, dtype=torch.float64)[[0, 1, 2, 0, 1, 0]].expand(1, 4, -1, -1)
    v = torch.randn(1, 4, 6, 16, dtype=torch.float64)
    y = layer.attend(keys, keys, v, torch.ones(1, 4, 6, dtype=torch.float64))
    read = v / 16**0.5
    want = read / (read.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(y, want, rtol=1e-4, atol=1e-4)
