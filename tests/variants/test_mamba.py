from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.mamba import reference, whole

Mamba = catalog.load("mamba")
definition: Any = reference


@pytest.mark.parametrize(
    "options",
    [{}, {"state": 7, "conv": 2}, {"dt_rank": 1}, {"normed": True}, {"head_dim": 24}],
    ids=str,
)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer: Any = laws.make(Mamba, 70, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference)
    x_BTD = laws.tokens_in(70).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 20)


def test_heads_change_nothing() -> None:
    four, one = (
        laws.make(Mamba, 40, causal=True, heads=heads, dtype=torch.float64) for heads in (4, 1)
    )
    x_BTD = laws.tokens_in(40).double()
    torch.testing.assert_close(four(x_BTD), one(x_BTD), rtol=0, atol=0)


def test_gradients_are_right_across_pieces_of_the_length() -> None:
    """At 16 heads of 128, 16 tokens are worked on at a time."""
    shape = {"dim": 64, "heads": 16, "head_dim": 128}
    layer: Any = laws.make(Mamba, 37, dtype=torch.float64, causal=True, **shape)
    parameters = [layer.log_rate_ND, layer.direct_D]
    equals_its_reference(layer, reference, parameters=parameters)


def test_the_state_is_what_falcon_mamba_keeps() -> None:
    layer: Any = laws.make(Mamba, 8, causal=True, dim=4096, heads=64, head_dim=128)
    state = layer.init_state(1, 1000)
    assert state.matrix_BHKV.nbytes == 2 * 4096 * 16 * 4
    assert state.recent_BSE.shape == (1, 3, 2 * 4096)
    assert layer.projections["select"].out_features == 256 + 2 * 16


def test_the_longest_step_is_exact() -> None:
    layer: Any = laws.make(Mamba, 130, causal=True)
    inputs = [spec.random(layer, 1, 130) for spec in layer.inputs.values()]
    inputs[1] = torch.where(torch.rand(inputs[1].shape) < 0.3, 200.0, 1e-3)
    with torch.no_grad():
        got = layer.attend(*inputs)
        want = definition(layer.double(), *(x.double() for x in inputs), None)
    assert (got - want).norm() < 1e-5 * want.norm()


@pytest.mark.parametrize("name", ["state", "dt_rank"])
def test_refuses(name: str) -> None:
    options: dict[str, Any] = {name: 0}
    with pytest.raises(Unsupported, match=f"^{name} 0 is below 1$"):
        laws.make(Mamba, 8, causal=True, **options)
