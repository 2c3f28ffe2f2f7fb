from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.parts import fading, fused
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference, mean_error
from tests.references.forgetting import reference
from tests.references.sdpa import reference as exact

Forgetting = catalog.load("forgetting")


def layer_of(tokens: int, **shape: Any) -> Any:
    return laws.make(Forgetting, tokens, causal=True, **({"dtype": torch.float64} | shape))


@pytest.mark.parametrize("kernel", ["cpu", "none"])
@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("tokens", [1, 8, 9, 45, 64, 100])
def test_halves_equal_the_reference(
    monkeypatch: pytest.MonkeyPatch, tokens: int, masks: bool, kernel: str
) -> None:
    monkeypatch.setattr(fading, "SMALLEST", 8)
    monkeypatch.setattr(fading, "_masks_pay", lambda _: masks)
    monkeypatch.setattr(fused, "kernel", lambda _: kernel)
    equals_its_reference(layer_of(tokens, kv_heads=2), reference, padded=True)


def inputs(tokens: int, gate: float, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, tokens, 16, generator=generator) for _ in range(3))
    gates = gate * torch.rand(1, 2, tokens, generator=generator)
    return [x.to(dtype).requires_grad_() for x in (q, k, v, gates)]


def exactly(q: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
    """All at once, in float64."""
    sum_BHT = gate.cumsum(-1)
    logits = q @ k.mT / q.shape[-1] ** 0.5 + sum_BHT[..., None] - sum_BHT[..., None, :]
    later = torch.ones(logits.shape[-2:], dtype=torch.bool).triu(1)
    return logits.masked_fill(later, -torch.inf).softmax(-1) @ v


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 2e-5), (torch.bfloat16, 2e-2), (torch.float16, 4e-3)],
)
@pytest.mark.parametrize("gate", [-0.01, -1.0, -30.0])
def test_long_sums_lose_no_digits(
    monkeypatch: pytest.MonkeyPatch, gate: float, dtype: torch.dtype, tolerance: float, masks: bool
) -> None:
    """They add up to thousands here, where bfloat16 has steps of 16."""
    monkeypatch.setattr(fading, "SMALLEST", 64)
    monkeypatch.setattr(fading, "_masks_pay", lambda _: masks)
    given = inputs(1500, gate, dtype)
    wide = [x.detach().double().requires_grad_() for x in given]
    got, want = fading.fading(*given), exactly(*wide)
    assert (got - want).norm() < tolerance * want.norm()
    upstream = torch.randn(want.shape, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad(got, given, upstream.to(dtype))
    wanted = torch.autograd.grad(want, wide, upstream.to(dtype).double())
    for mine, theirs in zip(grads, wanted, strict=True):
        assert (mine - theirs).norm() < 3 * tolerance * theirs.norm()


def test_is_exact_attention_if_it_forgets_nothing_and_alone_if_all() -> None:
    layer = layer_of(60)
    bias = layer.projections["gate"].bias
    torch.nn.init.constant_(layer.projections["gate"].weight, 0)
    torch.nn.init.constant_(bias, 60)
    assert mean_error(layer, lambda layer, q, k, v, _, real: exact(layer, q, k, v, real)) < 1e-12
    torch.nn.init.constant_(bias, -60)
    q, k, v, gate = layer.project(laws.tokens_in(60).double())
    torch.testing.assert_close(layer.attend(q, k, v, gate), v)


@torch.no_grad()
@pytest.mark.parametrize("kv_heads", [1, 2])
def test_decoding_equals_the_forward_and_keeps_a_sum_a_head_and_token(kv_heads: int) -> None:
    layer = layer_of(40, kv_heads=kv_heads)
    equals_the_forward(layer, 40)
    assert isinstance(layer, Decodable)
    state = layer.init_state(3, 30)
    assert (state.k_BGRK.shape, state.sum_BHR.shape) == ((3, kv_heads, 40, 16), (3, 4, 40))
    assert (state.sum_BHR.diff(dim=-1) <= 0).all()


def test_refuses_later_keys() -> None:
    with pytest.raises(Unsupported, match=r"^Forgetting Transformer is always causal$"):
        laws.make(Forgetting, 40)
