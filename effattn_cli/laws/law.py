"""What a law is, and the small layers that it is tried on."""

from collections.abc import Callable, Mapping
from dataclasses import make_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from effattn_cli.attention import Attention, FeedForward, Layer
from effattn_cli.errors import Unsupported

B, D, H = 2, 64, 4  # the shapes of every law: small, and no two alike


class Broken(AssertionError):
    """A law does not hold."""


Kind = TypeVar("Kind", bound=Layer)
Law = Callable[[type[Layer]], str | None]
STATED: dict[str, Law] = {}


def law(check: Law) -> Law:
    STATED[check.__name__.replace("_", " ")] = check
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


def require(holds: bool, message: str) -> None:  # noqa: FBT001
    if not holds:
        raise Broken(message)


def close(got: Tensor, want: Tensor, message: str) -> None:
    error = (got - want).abs().max().item() if got.numel() else 0.0
    if not error <= 1e-9 * max(1.0, want.abs().max().item()):
        raise Broken(f"{message} (by {error:.2g})")
