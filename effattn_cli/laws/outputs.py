"""What comes out of a layer, for whatever goes in."""

from collections.abc import Callable, Mapping
from dataclasses import fields

import torch
from torch import Tensor

from effattn_cli.attention import Attention, Layer
from effattn_cli.laws.law import (
    B,
    Broken,
    close,
    law,
    make,
    modes,
    out_shape,
    require,
    tokens_in,
)


@law
@torch.no_grad()
def shape_and_dtype(variant: type[Layer]) -> None:
    """The output is (B, T', D) in the input's dtype, and finite, in fp32, bf16 and fp16; and in
    fp32 where torch's default dtype is another.
    """
    single = torch.float32
    for causal in modes(variant):
        for dtype in (single, torch.bfloat16, torch.float16):
            _is_in(make(variant, 96, dtype=dtype, causal=causal), dtype)
        torch.set_default_dtype(torch.float64)
        try:
            _is_in(make(variant, 96, dtype=single, causal=causal), single)
        except RuntimeError as error:
            raise Broken(f"fails where torch's default dtype is float64: {error}") from error
        finally:
            torch.set_default_dtype(single)


def _is_in(layer: Layer, dtype: torch.dtype) -> None:
    y, want = layer(tokens_in(96, dtype=dtype)), out_shape(layer, 96)
    require(y.shape == want, f"gives shape {tuple(y.shape)} in place of {want}")
    require(y.dtype == dtype, f"gives {y.dtype} for {dtype}")
    require(bool(y.isfinite().all()), f"gives values that are not finite in {dtype}")


@law
@torch.no_grad()
def any_length(variant: type[Layer]) -> None:
    """Lengths that divide nothing work, also below the longest that the layer was made for."""
    for causal in modes(variant):
        layer = make(variant, 1000, causal=causal)
        for tokens in (1, 7, 1000):
            y = layer(tokens_in(tokens))
            right = y.shape == out_shape(layer, tokens)
            require(right, f"gives shape {tuple(y.shape)} for {tokens} tokens")
            require(bool(y.isfinite().all()), f"is not finite at {tokens} tokens")


@law
@torch.no_grad()
def same_seed_same_result(variant: type[Layer]) -> None:
    for causal in modes(variant):
        layer, x = make(variant, 80, causal=causal), tokens_in(80)
        require(torch.equal(layer(x), layer(x)), "two calls on the same input differ")
        twin = make(variant, 80, causal=causal)
        require(torch.equal(layer(x), twin(x)), "two layers made from the same seed differ")


@law
@torch.no_grad()
def batch_independence(variant: type[Layer]) -> None:
    """A sequence's result does not change with its neighbours in the batch."""
    for causal in modes(variant):
        layer = make(variant, 80, dtype=torch.float64, causal=causal)
        x = tokens_in(80, dtype=torch.float64)
        other = x.clone()
        other[1:] = 3 * tokens_in(80, dtype=torch.float64, seed=2)[1:]
        close(layer(x)[0], layer(other)[0], "a sequence's output changes with its neighbour's")


@law
@torch.no_grad()
def inputs_are_left_as_they_were(variant: type[Layer]) -> None:
    """A call does not write into its inputs: that would spoil the next one on the same tensors."""
    for causal in modes(variant):
        layer = make(variant, 80, causal=causal)
        _leaves(layer, {"x": tokens_in(80)})
        if isinstance(layer, Attention):
            torch.manual_seed(1)
            inputs = {name: spec.random(layer, B, 80) for name, spec in layer.inputs.items()}
            _leaves(layer.mix, inputs)


def _leaves(call: Callable[..., object], inputs: Mapping[str, Tensor]) -> None:
    before = {name: tensor.clone() for name, tensor in inputs.items()}
    call(*inputs.values())
    for name, tensor in inputs.items():
        require(torch.equal(tensor, before[name]), f"a call changes its input {name}")


@law
def gradients(variant: type[Layer]) -> None:
    """A gradient reaches the input and every parameter, and is finite."""
    for causal in modes(variant):
        layer, x = make(variant, 72, causal=causal).train(), tokens_in(72).requires_grad_()
        y: Tensor = layer(x)
        y.square().sum().backward()
        for name, tensor in [("input", x), *layer.named_parameters()]:
            grad = tensor.grad
            require(grad is not None and bool((grad != 0).any()), f"no gradient reaches {name}")
            assert grad is not None
            require(bool(grad.isfinite().all()), f"the gradient of {name} is not finite")


@law
def options_are_plain(variant: type[Layer]) -> None:
    """Every option has a default that YAML can hold, so that a profile can be run again."""
    for item in fields(variant.Config):
        plain = isinstance(item.default, bool | int | float | str | None)
        require(plain, f"option {item.name} has no default that YAML can hold")
