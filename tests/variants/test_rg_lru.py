from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.rg_lru import reference, whole

RGLRU = catalog.load("rg-lru")
definition: Any = reference


@pytest.mark.parametrize(
    "options", [{"whole_first": True}, {"conv": 2}, {"head_dim": 24, "whole_first": True}], ids=str
)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer: Any = laws.make(RGLRU, 70, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference)
    x_BTD = laws.tokens_in(70).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 20)


def test_gradients_are_right_across_pieces_of_the_length() -> None:
    """At 16 heads of 128, 64 tokens are worked on at a time."""
    shape = {"dim": 64, "heads": 16, "head_dim": 128}
    layer: Any = laws.make(RGLRU, 130, dtype=torch.float64, causal=True, **shape)
    parameters = [layer.rate_HK, layer.gates_HKE, layer.bias_HxE]
    equals_its_reference(layer, reference, parameters=parameters)


def test_the_state_is_what_recurrent_gemma_keeps() -> None:
    layer: Any = laws.make(RGLRU, 8, causal=True, dim=2560, heads=10)
    state = layer.init_state(1, 1000)
    assert state.matrix_BHKV.nbytes == 2560 * 4
    assert state.recent_BSE.shape == (1, 3, 2560)


@pytest.mark.parametrize("logit", [-120.0, -20.0, 20.0])
def test_gates_that_are_shut_or_wide_open_are_exact_and_have_gradients(logit: float) -> None:
    layer: Any = laws.make(RGLRU, 130, causal=True)
    layer.bias_HxE.data[..., : layer.head_dim] = logit
    inputs = [spec.random(layer, 1, 130).requires_grad_() for spec in layer.inputs.values()]
    got = layer.attend(*inputs)
    for grad in torch.autograd.grad(got.square().sum(), [*inputs, *layer.parameters()][:5]):
        assert grad.isfinite().all()
    with torch.no_grad():
        want = definition(layer.double(), *(x.double() for x in inputs), None)
    assert (got - want).norm() <= 1e-5 * want.norm() + 1e-8


def test_what_fades_is_that_much_less_that_is_taken_up() -> None:
    """With gates of 1, noise of variance 1 stays that."""
    layer: Any = laws.make(RGLRU, 4000, causal=True)
    layer.gates_HKE.data.zero_()
    layer.bias_HxE.data.fill_(20.0)
    inputs = [spec.random(layer, 8, 4000) for spec in layer.inputs.values()]
    inputs[1] = torch.full_like(inputs[1], 10.0)
    with torch.no_grad():
        y_BHTK = layer.attend(*inputs)[:, :, 2000:] / 10
    assert abs(y_BHTK.var().item() - 1) < 0.05


def test_refuses() -> None:
    with pytest.raises(Unsupported, match=r"^conv -1 is below 0$"):
        laws.make(RGLRU, 8, causal=True, conv=-1)
