"""The laws that every variant keeps; the tests hold the bundled ones to them.

A law is a function of the variant's class that raises `Broken`, in plain words, when the class
breaks it, and gives the reason where it does not apply. A variant that a law is wrong for says why
on its card, under `exempt`.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, make_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from effattn_cli.analysis.cost.scaling import exponent, measured_exponent
from effattn_cli.attention import Attention, Decodable, FeedForward, Layer, PlainModule
from effattn_cli.errors import Unsupported
from effattn_cli.measure.counting import count
from effattn_cli.records import Cell
from effattn_cli.setting import Scope, Setting

B, D, H = 2, 64, 4  # the shapes of every law: small, and no two alike


class Broken(AssertionError):
    """A law does not hold."""


Kind = TypeVar("Kind", bound=Layer)
Law = Callable[[type[Layer]], str | None]
LAWS: dict[str, Law] = {}


def law(check: Law) -> Law:
    LAWS[check.__name__.replace("_", " ")] = check
    return check


def make(
    variant: type[Kind], tokens: int, *, dtype: torch.dtype = torch.float32, **shape: Any
) -> Kind:
    """A small layer with seeded weights, in evaluation mode."""
    torch.manual_seed(0)
    heads = {"heads": H} if issubclass(variant, Attention) else {}
    config = variant.Config(**{"dim": D, "tokens": tokens, **heads, **shape})
    return variant(config).to(dtype).eval()


def with_options(variant: type[Kind], options: Mapping[str, Any]) -> type[Kind]:
    """The same variant with other defaults.

    Raises:
        Unsupported: it has no such option.
    """
    for name in options:
        if name not in variant.options():
            raise Unsupported(f"{variant.card.title} has no option {name!r}")
    if not options:
        return variant
    defaults = [(name, Any, value) for name, value in options.items()]
    config = make_dataclass("Config", defaults, bases=(variant.Config,), frozen=True, kw_only=True)
    return type(variant.__name__, (variant,), {"Config": config})


def tokens_in(tokens: int, *, dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(B, tokens, D, generator=generator).to(dtype)


def modes(variant: type[Layer]) -> list[bool]:
    """The values of `causal` that the card allows; a feed-forward is one and the same for both."""
    either = [True] if issubclass(variant, FeedForward) else [False, True]
    return {"never": [False], "always": [True], "optional": either}[variant.card.causal]


def out_shape(layer: Layer, tokens: int) -> tuple[int, int, int]:
    """(B, T', D) for `tokens` tokens."""
    return B, layer.output_mask(torch.ones(B, tokens, dtype=torch.bool)).shape[1], D


def _require(holds: bool, message: str) -> None:  # noqa: FBT001
    if not holds:
        raise Broken(message)


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
    _require(y.shape == want, f"gives shape {tuple(y.shape)} in place of {want}")
    _require(y.dtype == dtype, f"gives {y.dtype} for {dtype}")
    _require(bool(y.isfinite().all()), f"gives values that are not finite in {dtype}")


@law
@torch.no_grad()
def any_length(variant: type[Layer]) -> None:
    """Lengths that divide nothing work, also below the longest that the layer was made for."""
    for causal in modes(variant):
        layer = make(variant, 1000, causal=causal)
        for tokens in (1, 7, 1000):
            y = layer(tokens_in(tokens))
            right = y.shape == out_shape(layer, tokens)
            _require(right, f"gives shape {tuple(y.shape)} for {tokens} tokens")
            _require(bool(y.isfinite().all()), f"is not finite at {tokens} tokens")


@law
@torch.no_grad()
def same_seed_same_result(variant: type[Layer]) -> None:
    for causal in modes(variant):
        layer, x = make(variant, 80, causal=causal), tokens_in(80)
        _require(torch.equal(layer(x), layer(x)), "two calls on the same input differ")
        twin = make(variant, 80, causal=causal)
        _require(torch.equal(layer(x), twin(x)), "two layers made from the same seed differ")


@law
@torch.no_grad()
def batch_independence(variant: type[Layer]) -> None:
    """A sequence's result does not change with its neighbours in the batch."""
    for causal in modes(variant):
        layer = make(variant, 80, dtype=torch.float64, causal=causal)
        x = tokens_in(80, dtype=torch.float64)
        other = x.clone()
        other[1:] = 3 * tokens_in(80, dtype=torch.float64, seed=2)[1:]
        _close(layer(x)[0], layer(other)[0], "a sequence's output changes with its neighbour's")


@law
@torch.no_grad()
def padding(variant: type[Layer]) -> str | None:
    """What stands at padded positions changes nothing at real ones."""
    if not variant.card.padding:
        return "the card says that it takes no padding"
    real_BT = torch.arange(90) < torch.tensor([[90], [61]])
    for causal in modes(variant):
        layer = make(variant, 90, dtype=torch.float64, causal=causal)
        x = tokens_in(90, dtype=torch.float64)
        noise = torch.where(real_BT[..., None], x, 5 + 3 * tokens_in(90, dtype=x.dtype, seed=2))
        y, z = layer(x, real_BT), layer(noise, real_BT)
        _require(bool(y.isfinite().all()), "padding makes the output not finite")
        keep_BT = layer.output_mask(real_BT)
        _close(y[keep_BT], z[keep_BT], "an output at a real position changes with the padding")
        everything = layer(x, torch.ones_like(real_BT))
        _close(everything, layer(x), "a mask without padding changes the output")
    return None


@law
def empty_sequences(variant: type[Layer]) -> str | None:
    """A sequence of nothing but padding gives something finite, and spoils no weight's gradient."""
    if not variant.card.padding:
        return "the card says that it takes no padding"
    real_BT = torch.ones(B, 40, dtype=torch.bool) & torch.tensor([[True], [False]])
    for causal in modes(variant):
        layer = make(variant, 40, dtype=torch.float64, causal=causal)
        y: Tensor = layer(tokens_in(40, dtype=torch.float64), real_BT)
        _require(bool(y.isfinite().all()), "a sequence without a token is not finite")
        weights = [weight for weight in layer.parameters() if weight.requires_grad]
        for grad in torch.autograd.grad(y[0].sum(), weights, allow_unused=True):
            fine = grad is None or bool(grad.isfinite().all())
            _require(fine, "a sequence without a token makes a weight's gradient not finite")
    return None


@law
@torch.no_grad()
def causality(variant: type[Layer]) -> str | None:
    """Changing token t leaves the outputs before it bit-equal, and changes the one at t."""
    if True not in modes(variant):
        return "the card says that it is never causal"
    layer, x = make(variant, 300, causal=True), tokens_in(300)
    y = layer(x)
    for t in (0, 1, 63, 128, 150, 257, 299):
        changed = x.clone()
        changed[:, t] += 1
        z = layer(changed)
        early = (y[:, :t] != z[:, :t]).any(-1).any(0).nonzero()
        if early.numel():
            raise Broken(
                f"output at position {int(early[0])} changes when token {t} changes,"
                " but the card says causal"
            )
        _require(not torch.equal(y[:, t], z[:, t]), f"output at position {t} ignores its token")
    return None


@law
@torch.no_grad()
def decoding(variant: type[Layer]) -> str | None:
    """Decoding token by token equals the causal forward; a step can be repeated.

    With every layout of heads at a few tokens, and as far as a window turns over or a memory fills
    up, as the layer says by its `horizon` and `period`.
    """
    if not issubclass(variant, Decodable | FeedForward):
        return "it does not decode token by token"
    for shape in [{}, {"kv_heads": H // 2}] if issubclass(variant, Attention) else [{}]:
        _decodes(make(variant, 70, dtype=torch.float64, causal=True, **shape), 70)
    if issubclass(variant, Decodable):
        near = make(variant, 70, causal=True)
        tokens = near.horizon + 2 * near.period + 70
        _decodes(make(variant, tokens, dtype=torch.float64, causal=True), tokens, every=9)
    return None


def _decodes(layer: Layer, tokens: int, *, every: int = 1) -> None:
    """Each step against the forward; one in so many is made twice from its state."""
    x = tokens_in(tokens, dtype=torch.float64)
    y, state = layer(x), _state(layer, 0)
    last = y.shape[1]  # Perceiver AR keeps the outputs of the last tokens only
    for t in range(tokens):
        once = _step(layer, x[:, t], state)[0] if t % every == 0 else None
        step, state = _step(layer, x[:, t], state)
        same = once is None or torch.equal(once, step)
        _require(same, f"decoding step {t} twice from one state differs")
        if t >= tokens - last:
            want = y[:, t - tokens + last]
            _close(step, want, f"decoding step {t} differs from the causal forward")
    step, _ = _step(layer, x[:, 0], _state(layer, tokens // 2))
    _require(bool(step.isfinite().all()), "a step after a random context is not finite")


def _state(layer: Layer, context: int) -> Any:
    """None for a feed-forward, which keeps nothing between tokens."""
    return layer.init_state(B, context) if isinstance(layer, Decodable) else None


def _step(layer: Any, x_BD: Tensor, state: Any) -> tuple[Tensor, Any]:
    return (layer.decode(x_BD), None) if state is None else layer.decode(x_BD, state)


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
        _require(torch.equal(tensor, before[name]), f"a call changes its input {name}")


@law
def gradients(variant: type[Layer]) -> None:
    """A gradient reaches the input and every parameter, and is finite."""
    for causal in modes(variant):
        layer, x = make(variant, 72, causal=causal).train(), tokens_in(72).requires_grad_()
        y: Tensor = layer(x)
        y.square().sum().backward()  # type: ignore[no-untyped-call]
        for name, tensor in [("input", x), *layer.named_parameters()]:
            grad = tensor.grad
            _require(grad is not None and bool((grad != 0).any()), f"no gradient reaches {name}")
            assert grad is not None
            _require(bool(grad.isfinite().all()), f"the gradient of {name} is not finite")


@law
def growth(variant: type[Layer]) -> str | None:
    """FLOPs and peak memory grow from 4k to 16k tokens as the card states, to 0.1 in the exponent.

    Measured on the core, or on the feed-forward alone, on fake tensors, at a width that real
    models have.
    """
    if not variant.card.time:
        return "the card does not say how it grows"
    scope: Scope = "layer" if issubclass(variant, PlainModule) else "core"
    for causal in modes(variant):
        setting = Setting(causal=causal, scope=scope)
        at = {
            seq: count(variant, Cell(variant="", seq=seq, setting=setting)).cost
            for seq in (4096, 16384)
        }
        for what, order, got in (
            ("FLOPs", variant.card.time, {seq: cost.flops for seq, cost in at.items()}),
            (
                "peak memory",
                variant.card.memory,
                {seq: cost.peak_bytes for seq, cost in at.items()},
            ),
        ):
            _require(all(got.values()), f"{what} cannot be counted: nothing is computed")
            said, is_ = exponent(order, 4096, 16384), measured_exponent(got)
            message = f"{what} grow like N^{is_:.2f}, the card says {order} (N^{said:.2f})"
            _require(abs(said - is_) <= 0.1, message)
    return None


@law
def options_are_plain(variant: type[Layer]) -> None:
    """Every option has a default that YAML can hold, so that a profile can be run again."""
    for item in fields(variant.Config):
        plain = isinstance(item.default, bool | int | float | str | None)
        _require(plain, f"option {item.name} has no default that YAML can hold")


def _close(got: Tensor, want: Tensor, message: str) -> None:
    error = (got - want).abs().max().item() if got.numel() else 0.0
    if not error <= 1e-9 * max(1.0, want.abs().max().item()):
        raise Broken(f"{message} (by {error:.2g})")
