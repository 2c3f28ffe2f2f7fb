from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.memory_compressed import reference
from tests.references.sdpa import reference as exact

MemoryCompressed = catalog.load("memory-compressed")


def compressed(tokens: int, **options: int | bool | str) -> Any:
    return laws.make(MemoryCompressed, tokens, dtype=torch.float64, **options)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"compression": 1},
        {"compression": 4},
        {"compression": 100},
        {"layer": "local", "block_size": 1},
        {"layer": "local", "block_size": 8},
        {"layer": "local", "block_size": 17},
        {"layer": "local"},
    ],
)
def test_equals_its_reference(options: dict[str, int | str], causal: bool, padded: bool) -> None:
    layer = compressed(70, causal=causal, **options)
    equals_its_reference(layer, reference, padded=padded)


@pytest.mark.parametrize(
    ("row", "tokens"),
    [(0, [0]), (2, [0]), (3, [0, 1, 2]), (5, [0, 1, 2]), (6, [0, 1, 2, 3, 4, 5])],
)
def test_a_causal_row_sees_the_stretches_that_have_ended_and_token_0(
    row: int, tokens: list[int]
) -> None:
    layer = compressed(20, causal=True)
    v_BHTK = torch.randn(1, 4, 20, 16).double().requires_grad_()
    y_BHTK = layer.attend(torch.randn(1, 4, 20, 16).double(), v_BHTK.detach(), v_BHTK)
    (grad_BHTK,) = torch.autograd.grad(y_BHTK[:, :, row].square().sum(), v_BHTK)
    assert grad_BHTK.abs().sum((0, 1, 3)).nonzero().flatten().tolist() == tokens


@torch.no_grad()
def test_later_tokens_change_nothing() -> None:
    layer, x_BTD = compressed(60, causal=True), laws.tokens_in(60).double()
    y_BTD = layer(x_BTD)
    for t in range(60):
        changed_BTD = x_BTD.clone()
        changed_BTD[:, t] += 1
        assert torch.equal(layer(changed_BTD)[:, :t], y_BTD[:, :t])


@torch.no_grad()
def test_is_exact_where_nothing_is_compressed() -> None:
    layer = compressed(50, compression=1)
    for name in ("squeeze_k_HJK", "squeeze_v_HJK"):
        layer.get_parameter(name).copy_(torch.eye(16))
    local = compressed(50, layer="local", block_size=50)
    for one in (layer, local):
        q, k, v = one.project(laws.tokens_in(50).double())
        want_BHTK = exact(one, q, k, v, None)
        torch.testing.assert_close(one.attend(q, k, v), want_BHTK, rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize(
    "options", [{"compression": 1}, {"compression": 7}, {"layer": "local", "block_size": 6}]
)
def test_decoding_equals_the_forward(options: dict[str, int | str]) -> None:
    layer = compressed(40, causal=True, **options)
    equals_the_forward(layer, 40)


def test_what_decoding_keeps() -> None:
    state = compressed(90, causal=True).init_state(3, 50)
    assert state.k_BHRK.shape == (3, 4, 1 + 90 // 3, 16)
    assert state.new_k_BHCK.shape == (3, 4, 3, 16)
    local = compressed(90, causal=True, layer="local", block_size=8).init_state(3, 50)
    assert local.k_BGRK.shape == (3, 4, 8, 16)
    assert local.length == 50 % 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": 0}, "compression 0 is below 1"),
        ({"block_size": 0}, "block_size 0 is below 1"),
        ({"layer": "dense"}, "layer 'dense' is neither compressed nor local"),
    ],
)
def test_refuses(options: dict[str, int | str], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        compressed(40, **options)
