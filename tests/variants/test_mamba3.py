import math
from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.mamba3 import reference, whole

Mamba3 = catalog.load("mamba3")
definition: Any = reference
OPTIONS = [
    {"groups": 4, "state": 16}, {"state": 7}, {"turned": 1.0, "state": 10}, {"rank": 4},
    {"rank": 3, "groups": 2, "state": 6}, {"head_dim": 24, "rank": 2},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_equals_the_definition(options: dict[str, Any]) -> None:
    layer: Any = laws.make(Mamba3, 70, dtype=torch.float64, causal=True, **options)
    for weight in layer.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    equals_its_reference(layer, reference, parameters=[*layer.space.parameters()])
    x_BTD = laws.tokens_in(70).double()
    torch.testing.assert_close(layer(x_BTD), whole(layer, x_BTD), rtol=1e-9, atol=1e-9)
    equals_the_forward(layer, 20)


def of_ones(layer: Any, tokens: int) -> dict[str, torch.Tensor]:
    made = {
        name: spec.random(layer, 1, tokens).double().contiguous()
        for name, spec in layer.inputs.items()
    }
    made["decay"].zero_()
    made["step"].fill_(1.0)
    return made


def test_parity_is_a_state_that_turns_by_half() -> None:
    """Tokens of 1 turn the state round, those of 0 leave it: what no decay above 0 can do."""
    layer: Any = laws.make(
        Mamba3, 70, dtype=torch.float64, causal=True, heads=1, head_dim=1, state=2, turned=1.0
    )
    for weight in (layer.direct_H, layer.space.bias_2HxRN):
        weight.data.zero_()
    made = of_ones(layer, 70)
    bits_T = torch.rand(70) < 0.5
    made["angle"][0, 0, :, 0] = bits_T * 1e3  # tanh of it is 1
    for name in ("B", "C"):
        made[name].copy_(torch.tensor([1.0, 0.0]))
    made["x"].zero_()
    made["x"][:, :, 0] = 1
    made["share"].fill_(1.0)
    made["z"].fill_(1.0)
    y_T = layer.attend(*made.values()).flatten()
    signs_T = 1 - 2 * ((bits_T.cumsum(0) - bits_T[0].long()) % 2)
    torch.testing.assert_close(y_T.sign(), signs_T.double())


def test_shares_of_one_are_steps_that_are_not_trapezoids() -> None:
    """Without turns it is then Mamba-2's sum."""
    layer: Any = laws.make(Mamba3, 130, dtype=torch.float64, causal=True, state=16)
    made = of_ones(layer, 130)
    made["decay"] = -torch.rand(1, 4, 130).double()
    made["share"].fill_(1.0)
    made["angle"].zero_()
    C_BHTN, B_BHTN = (
        torch.nn.functional.rms_norm(made[name], (16,), eps=1e-5).double() + 1
        for name in ("C", "B")
    )
    total_BHT = made["decay"].cumsum(-1)
    left_BHTT = (total_BHT.unsqueeze(-1) - total_BHT.unsqueeze(-2)).tril().exp().tril()
    y_BHTP = ((C_BHTN @ B_BHTN.mT) * left_BHTT) @ made["x"] + made["x"]
    want = y_BHTP * torch.nn.functional.silu(made["z"])
    torch.testing.assert_close(layer.attend(*made.values()), want, rtol=1e-9, atol=1e-9)


def test_the_state_is_what_the_models_keep() -> None:
    layer: Any = laws.make(Mamba3, 8, causal=True, dim=2048, heads=64, head_dim=64, rank=4)
    state = layer.init_state(1, 1000)
    assert state.matrix_BHKV.nbytes == 64 * 64 * 128 * 4
    assert state.key_BHxRN.numel() == 64 * 4 * 128
    assert state.value_BHP.numel() == 64 * 64
    assert state.turns_BHS.nbytes == 64 * 32 * 4


def test_a_long_way_round_is_as_exact_as_a_short_one() -> None:
    """Thousands of turns, in float32: each token is turned by a quarter, and one in 4 is equal."""
    layer: Any = laws.make(Mamba3, 8192, causal=True, heads=1, state=4, turned=1.0)
    made = {name: spec.random(layer, 1, 8192) for name, spec in layer.inputs.items()}
    made["step"] = torch.full_like(made["step"], 20.0)
    made["angle"] = torch.full_like(made["angle"], math.atanh(0.925))  # 9.25 turns a token
    made["decay"] = torch.full_like(made["decay"], -0.1)
    with torch.no_grad():
        got = layer.attend(*made.values())
        made = {name: x.double() for name, x in made.items()}
        made["angle"][:] = math.atanh(0.925)
        want = layer.double().attend(*made.values())
    assert (got - want)[:, :, -64:].norm() < 1e-3 * want[:, :, -64:].norm()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 3}, "4 heads are no multiple of groups 3"),
        ({"groups": 0}, "groups 0 is below 1"),
        ({"rank": 0}, "rank 0 is below 1"),
        ({"state": 3}, "state 3 has no pair to turn"),
        ({"turned": 0.0}, "turned 0.0 is not above 0 and at most 1"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        laws.make(Mamba3, 8, causal=True, **options)
