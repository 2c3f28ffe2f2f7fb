from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.gla import reference, whole

GLA = catalog.load("gla")


@pytest.mark.parametrize(
    "options", [{"key_width": 16}, {"rank": 1}, {"calm": 0.1}, {"key_width": 1}], ids=str
)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    """Decays of e^-20 a token, too."""
    layer: Any = laws.make(GLA, 70, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference)
    x_BTD = laws.tokens_in(70).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank 0 is below 1"),
        ({"calm": 0.0}, "calm 0.0 is not above 0"),
        ({"key_width": 0}, "key_width 0 is below 1"),
        ({"key_width": -3}, "key_width -3 is below 1"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        laws.make(GLA, 8, causal=True, **options)
