"""Every bundled variant keeps every law, and equals its reference."""

import importlib

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention

B, H, K = 2, 4, 16
NAMES = catalog.bundled_names()


@pytest.mark.parametrize("law", laws.LAWS)
@pytest.mark.parametrize("name", NAMES)
def test_law(name: str, law: str) -> None:
    variant = catalog.load(name)
    if law in variant.card.exempt:
        with pytest.raises(laws.Broken):
            laws.LAWS[law](variant)  # an exemption that is not needed is a mistake too
        return
    laws.LAWS[law](variant)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_compiles(name: str) -> None:
    torch.compiler.reset()
    laws.compiles(catalog.load(name))


def cases(variant: type[Attention]) -> list[tuple[bool, bool]]:
    return [(causal, padded) for causal in laws.modes(variant) for padded in (False, True)]


@pytest.mark.parametrize("tokens", [1, 37, 130])
@pytest.mark.parametrize("name", NAMES)
def test_equals_its_reference(name: str, tokens: int) -> None:
    variant = catalog.load(name)
    reference = importlib.import_module(f"tests.references.{name.replace('-', '_')}").reference
    for causal, padded in cases(variant):
        layer = laws.make(variant, tokens, dtype=torch.float64, causal=causal)
        real_BT = torch.arange(tokens) < torch.tensor([[tokens], [max(1, 2 * tokens // 3)]])
        mask = real_BT if padded else None
        keep = layer.kept(real_BT if padded else torch.ones_like(real_BT))
        q, k, v = inputs = [x.double().requires_grad_() for x in qkv(layer, tokens)]
        outs = layer.attend(q, k, v, mask), reference(layer, q, k, v, mask)
        got, want = (_only(out, keep) for out in outs)
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
        upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(3)).double()
        wanted = [*inputs, *(p for n, p in layer.named_parameters() if "projections" not in n)]
        grads = [
            torch.autograd.grad(out, wanted, upstream, allow_unused=True, materialize_grads=True)
            for out in (got, want)
        ]
        for mine, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-4), (torch.bfloat16, 4e-2)])
@pytest.mark.parametrize("name", NAMES)
def test_is_close_to_its_reference_in_low_precision(
    name: str, dtype: torch.dtype, tolerance: float
) -> None:
    variant = catalog.load(name)
    reference = importlib.import_module(f"tests.references.{name.replace('-', '_')}").reference
    for causal in laws.modes(variant):
        layer = laws.make(variant, 96, dtype=dtype, causal=causal)
        q, k, v = (x.to(dtype) for x in qkv(layer, 96))
        got = layer.attend(q, k, v).double()
        want = reference(layer.double(), q.double(), k.double(), v.double(), None)
        error = (got - want).norm() / want.norm()
        assert error < tolerance


def qkv(layer: Attention, tokens: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    heads = (layer.heads, *2 * (layer.kv_heads if layer.grouped else layer.heads,))
    return [
        torch.randn(B, tokens, heads_, layer.head_dim, generator=generator).transpose(1, 2)
        for heads_ in heads
    ]


def _only(out_BHTK: Tensor, keep_BT: Tensor) -> Tensor:
    return out_BHTK.transpose(1, 2)[keep_BT]
