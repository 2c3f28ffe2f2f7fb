"""Every bundled variant keeps every law, and equals its reference."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention, Layer

B = 2
NAMES = catalog.bundled_names()
#: Thousands of small operators, each counted: of these, growth is a slow law.
LONG_TO_COUNT = {
    "block-indexed", "csa", "dsa", "gdn2", "gla", "hgrn2", "kda", "mamba", "mamba3", "moba", "nsa",
    "rwkv7", "sinkhorn-transformer", "synthesizer",
}  # fmt: skip


def definition_of(name: str) -> Callable[..., Tensor] | None:
    """Of a whole layer from x, where its reference has one: it takes the layer and x."""
    module = importlib.import_module(f"tests.references.{name.replace('-', '_')}")
    return getattr(module, "whole", None)


def _marks(name: str, law: str) -> list[pytest.MarkDecorator]:
    """Growth is counted up to long lengths: in CI, or by hand where that takes long."""
    if law == "long decoding" or (law == "growth" and name in LONG_TO_COUNT):
        return [pytest.mark.slow]
    return [pytest.mark.in_ci] if law == "growth" else []


@pytest.mark.parametrize(
    ("name", "law"),
    [pytest.param(name, law, marks=_marks(name, law)) for name in NAMES for law in laws.LAWS],
)
def test_law(name: str, law: str) -> None:
    variant = catalog.load(name, kind=Layer)
    if law in variant.card.exempt:
        with pytest.raises(laws.Broken):
            laws.LAWS[law](variant)  # an exemption that is not needed is a mistake too
        return
    applies = {
        "padding": variant.card.padding,
        "empty sequences": variant.card.padding,
        "causality": variant.card.causal != "never",
        "decoding": hasattr(variant, "decode"),
        "output length": variant.card.shortens != "always",
        "swap": variant.card.swap != "trained",
        "growth of the state": bool(variant.card.state),
        "long decoding": variant.card.state in {"1", "k"},
    }
    assert (laws.LAWS[law](variant) is None) == applies.get(law, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_compiles(name: str) -> None:
    torch.compiler.reset()
    variant = catalog.load(name, kind=Layer)
    for causal in laws.modes(variant):
        layer, x = laws.make(variant, 130, causal=causal), laws.tokens_in(130)
        with torch.no_grad():
            want, got = layer(x), torch.compile(layer)(x)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def cases(variant: type[Layer]) -> list[tuple[bool, bool]]:
    return [(causal, padded) for causal in laws.modes(variant) for padded in (False, True)]


@pytest.mark.parametrize("tokens", [1, 37, 130])
@pytest.mark.parametrize("name", NAMES)
def test_equals_its_reference(name: str, tokens: int) -> None:
    variant, (reference, options) = catalog.load(name, kind=Layer), reference_of(name)
    for causal, padded in cases(variant):
        layer = laws.make(variant, tokens, dtype=torch.float64, causal=causal, **options)
        valid_BT = torch.arange(tokens) < torch.tensor([[tokens], [max(1, 2 * tokens // 3)]])
        mask = valid_BT if padded else None
        keep_BT = layer.output_mask(valid_BT if padded else torch.ones_like(valid_BT))
        ours, inputs = subject(layer, tokens, torch.float64)
        got, want = (
            tokens_first(out)[keep_BT]
            for out in (ours(*inputs, mask), reference(layer, *inputs, mask))
        )
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
        upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(3)).double()
        wanted = [*inputs, *(p for n, p in layer.named_parameters() if "projections" not in n)]
        grads = [
            torch.autograd.grad(out, wanted, upstream, allow_unused=True, materialize_grads=True)
            for out in (got, want)
        ]
        for mine, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in NAMES if definition_of(name) is not None])
def test_the_whole_layer_equals_its_definition(name: str) -> None:
    """Projections, convolutions, gates and norms too, with the layer's weights."""
    variant, whole = catalog.load(name, kind=Layer), definition_of(name)
    assert whole is not None
    _, options = reference_of(name)
    for causal in laws.modes(variant):
        layer = laws.make(variant, 70, dtype=torch.float64, causal=causal, **options)
        inputs = [laws.tokens_in(70, dtype=torch.float64).requires_grad_(), *layer.parameters()]
        got, want = layer(inputs[0]), whole(layer, inputs[0])
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
        upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(3)).double()
        grads = [torch.autograd.grad(out, inputs, upstream) for out in (got, want)]
        torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-4), (torch.bfloat16, 4e-2)])
@pytest.mark.parametrize("name", NAMES)
def test_is_close_to_its_reference_in_low_precision(
    name: str, dtype: torch.dtype, tolerance: float
) -> None:
    variant, (reference, options) = catalog.load(name, kind=Layer), reference_of(name)
    for causal in laws.modes(variant):
        layer = laws.make(variant, 96, dtype=dtype, causal=causal, **options)
        ours, inputs = subject(layer, 96, dtype)
        got = ours(*inputs, None).double()
        want = reference(layer.double(), *(x.double() for x in inputs), None)
        off = (got - want).norm(dim=-1).flatten()
        selects = "sparse-indexed" in variant.card.families
        if selects and dtype == torch.bfloat16:  # the last bit may select another key
            off[off.topk(len(off) // 20).indices] = 0
        assert off.norm() / want.norm() < tolerance


def reference_of(name: str) -> tuple[Callable[..., Tensor], dict[str, Any]]:
    """It takes the layer, then what the layer takes, the inputs of its core or x, and the mask;
    with it the options that it is tried with, where the usual ones would take long.
    """
    module = importlib.import_module(f"tests.references.{name.replace('-', '_')}")
    return module.reference, getattr(module, "OPTIONS", {})


def subject(
    layer: Layer, tokens: int, dtype: torch.dtype
) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """What is held to the reference, and its inputs: the core of an attention, or all of x."""
    if not isinstance(layer, Attention):
        return layer, [laws.tokens_in(tokens, dtype=dtype).requires_grad_()]
    torch.manual_seed(2)
    given = tuple(spec.random(layer, B, tokens, dtype=dtype) for spec in layer.inputs.values())
    return layer.attend, [x.requires_grad_() for x in layer.repeated(given)]


def tokens_first(out: Tensor) -> Tensor:
    """(B, H, T, K) with T second, as it is in (B, T, D)."""
    return out.transpose(1, 2) if out.ndim == 4 else out
