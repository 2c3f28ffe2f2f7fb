from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.short_conv import reference

GatedShortConv: Any = catalog.load("short-conv")


@pytest.mark.parametrize("options", [{"taps": 1}, {"taps": 7, "bias": True}, {"bias": True}])
def test_each_option_equals_the_reference(options: dict[str, Any]) -> None:
    layer = laws.make(GatedShortConv, 40, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference, parameters=[*layer.conv.parameters()])
    equals_the_forward(layer, 20)


def test_the_state_is_two_tokens_of_lfm2() -> None:
    layer = laws.make(GatedShortConv, 8, causal=True, dim=2048, heads=32)
    assert layer.init_state(2, 5000).recent_BSE.shape == (2, 2, 2048)


def test_refuses_a_convolution_over_nothing() -> None:
    with pytest.raises(Unsupported, match=r"^taps 0 is below 1$"):
        laws.make(GatedShortConv, 8, causal=True, taps=0)
