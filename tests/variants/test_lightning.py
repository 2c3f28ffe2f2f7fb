from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.lightning import reference

Lightning = catalog.load("lightning")


@pytest.mark.parametrize("depth", [0.25, 1.0])
def test_a_deeper_layer_fades_slower(depth: float) -> None:
    layer: Any = laws.make(Lightning, 150, dtype=torch.float64, causal=True, depth=depth)
    equals_its_reference(layer, reference)
    equals_the_forward(layer, 20)


def test_the_state_is_what_minimax_01_keeps() -> None:
    layer: Any = laws.make(Lightning, 8, causal=True, dim=6144, heads=64, head_dim=128)
    state = layer.init_state(1, 1000)
    assert state.matrix_BHKV.nbytes == 4 * 2**20


def test_refuses_a_place_outside_of_the_model() -> None:
    with pytest.raises(Unsupported, match=r"^depth 2.0 is not from 0 to 1$"):
        laws.make(Lightning, 8, causal=True, depth=2.0)
