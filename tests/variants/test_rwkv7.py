from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.rwkv7 import reference, whole

RWKV7 = catalog.load("rwkv7")
definition: Any = reference


@pytest.mark.parametrize(
    "options",
    [{"decay_rank": 5}, {"rate_rank": 1}, {"gate_rank": 7}, {"head_dim": 24}],
    ids=str,
)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer: Any = laws.make(RWKV7, 70, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference)
    x_BTD = laws.tokens_in(70).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 20)


def test_the_state_is_a_matrix_a_head_and_the_last_token() -> None:
    layer: Any = laws.make(RWKV7, 8, causal=True, dim=2560, heads=40)
    state = layer.init_state(1, 1000)
    assert state.matrix_BHKV.nbytes == 40 * 64 * 64 * 4
    assert state.recent_BSE.numel() == 2560


def test_projections_are_as_narrow_as_in_the_models() -> None:
    layer: Any = laws.make(RWKV7, 8, causal=True, dim=768, heads=12)
    assert [layer.projections[name][0].out_features for name in ("decay", "rate", "gate")] == [
        64, 64, 128
    ]  # fmt: skip


@pytest.mark.parametrize("strongest", [-0.6, -30.0, -200.0])
def test_what_is_read_has_not_faded_yet_however_strong_the_decay(strongest: float) -> None:
    layer: Any = laws.make(RWKV7, 130, causal=True)
    inputs = [spec.random(layer, 1, 130) for spec in layer.inputs.values()]
    inputs[1] = torch.where(torch.rand(inputs[1].shape) < 0.3, strongest, -1e-3)
    with torch.no_grad():
        got = layer.attend(*inputs)
        want = definition(layer.double(), *(x.double() for x in inputs), None)
    assert (got - want).norm() < 1e-4 * want.norm()


def test_gradients_are_finite_and_right_where_a_channel_forgets_all() -> None:
    layer: Any = laws.make(RWKV7, 70, dtype=torch.float64, causal=True)
    inputs = [spec.random(layer, 1, 70).double() for spec in layer.inputs.values()]
    inputs[1] = torch.where(torch.rand(inputs[1].shape) < 0.3, -200.0, -1e-3).double()
    leaves = [x.clone().requires_grad_() for x in inputs]
    grads = [
        torch.autograd.grad(y.square().sum(), leaves)
        for y in (layer.attend(*leaves), definition(layer, *leaves, None))
    ]
    torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["decay_rank", "rate_rank", "gate_rank"])
def test_refuses(name: str) -> None:
    options: dict[str, Any] = {name: 0}
    with pytest.raises(Unsupported, match=f"^{name} 0 is below 1$"):
        laws.make(RWKV7, 8, causal=True, **options)
