from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.references.hgrn2 import whole

HGRN2 = catalog.load("hgrn2")


@pytest.mark.parametrize("bound", [0.5, 0.99])
def test_a_channel_keeps_at_least_its_bound(bound: float) -> None:
    layer: Any = laws.make(HGRN2, 80, dtype=torch.float64, causal=True, bound=bound)
    x_BTD = laws.tokens_in(80).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    assert layer.project(x_BTD)[1].exp().min() > bound
    equals_the_forward(layer, 20)


@torch.no_grad()
def test_a_state_of_equal_values_stays_their_value() -> None:
    """What is forgotten is what is taken up: weights of each channel sum to less than 1."""
    layer: Any = laws.make(HGRN2, 200, dtype=torch.float64, causal=True)
    _, decay, v = (spec.random(layer, 1, 200) for spec in layer.inputs.values())
    state = layer.init_state(1, 0)
    q, ones = torch.ones(1, 4, 16).double(), torch.ones_like(v).double()
    for t in range(200):
        _, state = layer.step(q, decay[:, :, t].double(), ones[:, :, t], state)
    assert state.matrix_BHKV.max() <= 1


def test_refuses_a_bound_that_forgets_nothing() -> None:
    with pytest.raises(Unsupported, match=r"^bound 1.0 is not from 0 to below 1$"):
        laws.make(HGRN2, 8, causal=True, bound=1.0)
