from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell
from effattn_cli.setting import Setting
from tests.decoding import equals_the_forward
from tests.references.cca import whole

Cca = catalog.load("cca")


def cca(tokens: int, **shape: Any) -> Any:
    """A layer whose temperatures are not all 1."""
    layer: Any = laws.make(Cca, tokens, dtype=torch.float64, causal=True, **shape)
    torch.nn.init.uniform_(layer.temperature_Gxx, 0.5, 2)
    return layer


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"kv_heads": 2, "head_dim": 8},
        {"kv_heads": 4, "rotary": 0.5},
        {"heads": 6, "kv_heads": 3, "head_dim": 5},
        {"kv_heads": 1, "head_dim": 7, "rotary": 1.0},
    ],
)
@pytest.mark.parametrize("tokens", [1, 2, 40])
def test_the_layer_equals_its_definition(tokens: int, shape: dict[str, Any]) -> None:
    layer = cca(tokens, **shape)
    x_BTD = laws.tokens_in(tokens).double().requires_grad_()
    got, want = layer(x_BTD), whole(layer, x_BTD)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    leaves = [x_BTD, *layer.parameters()]
    both = (torch.autograd.grad(out.square().sum(), leaves) for out in (got, want))
    torch.testing.assert_close(*both, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_without_what_is_new_it_is_grouped_attention_of_unit_keys() -> None:
    """Convolutions that give nothing, and values of the token itself."""
    layer = cca(30, kv_heads=2)
    for name in ("tap_SE", "tap_E", "mix_SJKK", "mix_JxK"):
        layer.get_parameter(name).zero_()
    q_BHTK, k_BGTK, v_BGTK = layer.project(laws.tokens_in(30).double())
    lengths = q_BHTK.norm(dim=-1), k_BGTK.norm(dim=-1) / layer.temperature_Gxx[..., 0]
    for length in lengths:
        torch.testing.assert_close(length, torch.full_like(length, 4.0))
    group_BGTK = q_BHTK.unflatten(1, (2, 2)).sum(2)
    along = torch.cosine_similarity(group_BGTK, k_BGTK, dim=-1)
    assert (along > 0.5).all()  # the residual of k is the mean of its group's
    x_BTD = laws.tokens_in(30).double()
    plain_BGTK = layer.split("v", layer.projections["v"](x_BTD))
    torch.testing.assert_close(v_BGTK[:, 0], plain_BGTK[:, 0])
    torch.testing.assert_close(v_BGTK[:, 1, 1:], plain_BGTK[:, 1, :-1])
    assert (v_BGTK[:, 1, 0] == 0).all()


@pytest.mark.parametrize("shape", [{}, {"kv_heads": 2, "head_dim": 6, "rotary": 1.0}])
def test_decoding_equals_the_forward(shape: dict[str, Any]) -> None:
    equals_the_forward(cca(40, **shape), 40)


def test_decoding_keeps_the_latent_two_tokens_and_half_a_value() -> None:
    state = cca(100, kv_heads=2, head_dim=8).init_state(3, 70)
    assert state.cache.k_BGRK.shape == (3, 2, 100, 8)
    assert state.tail.qk_BSE.shape == (3, 2, (4 + 2) * 8)
    assert state.tail.v_BxF.shape == (3, 1, 8)


def test_a_core_has_no_convolutions() -> None:
    cell = Cell(variant="cca", seq=8, setting=Setting(dim=16, heads=2, causal=True, phase="decode"))
    subject = build(Cca, cell)
    assert not list(subject.module.parameters())
    assert len(subject.state) == 2
    assert subject.call().isfinite().all()
