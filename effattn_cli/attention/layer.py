"""What every variant is: one half of a Transformer block."""

from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor, nn

from effattn_cli.cards import Card
from effattn_cli.errors import Unsupported
from effattn_cli.records import Usage


class Layer(nn.Module):
    """One half of a Transformer block: (B, T, D) to (B, T', D), without the residual around it.

    A variant is a final class in a file of its own, a subclass of `Attention` or `FeedForward`. It
    defines a `card` and a `Config` with its own options. The class docstring's first line is its
    summary in the catalogue.
    """

    card: ClassVar[Card]
    #: Empty; provides device and dtype when there are no weights.
    like: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The shape of a layer. A variant adds its own options, each with a default."""

        dim: int = 512
        tokens: int = 1024  # the maximum sequence length
        causal: bool = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.causal = config.causal
        if self.causal and self.card.causal == "never":
            raise Unsupported(f"{self.card.title} cannot be causal")
        if not self.causal and self.card.causal == "always":
            raise Unsupported(f"{self.card.title} is always causal")
        self.register_buffer("like", torch.empty(0), persistent=False)

    def output_mask(self, valid_BT: Tensor) -> Tensor:
        """Which outputs are real, (B, T'): those of real inputs, unless the variant downsamples."""
        return valid_BT

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """The names of the variant's own options."""
        shared = {item.name for item in fields(cls.shape())}
        return tuple(item.name for item in fields(cls.Config) if item.name not in shared)

    @classmethod
    def shape(cls) -> "type[Layer.Config]":
        """The fields that all variants of its kind have."""
        return Layer.Config


class FeedForward(Layer):
    """A replacement for the feed-forward layer; a variant defines `forward`.

    It processes each token independently, or nearly so: a mixture of experts couples the tokens
    that choose the same expert. Its card's kind is "feed-forward".
    """

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        """(B, T, D) to (B, T, D), without the residual; padded rows may hold any finite values."""
        raise NotImplementedError

    def decode(self, x_BD: Tensor) -> Tensor:
        """One token of each sequence: (B, D) to (B, D)."""
        return self(x_BD.unsqueeze(1)).squeeze(1)

    def usage(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Usage:  # noqa: ARG002
        """How much of it these tokens used: everything, unless the variant overrides this."""
        everything = sum(weight.numel() for weight in self.parameters())
        return Usage(total_parameters=everything, active_parameters=everything)


class ModelPart(Layer):
    """A part of a model around its layers, or a layer without a mixer; not an attention variant.

    Its card's kind is "model part". It takes the output of `example`, and keeps no state between
    tokens.
    """

    @property
    def width(self) -> int:
        """The width of the output."""
        return self.config.dim

    def example(
        self, batch: int, tokens: int, *, device: torch.device, dtype: torch.dtype
    ) -> Tensor:
        """A random input of `tokens` tokens: (B, T, D)."""
        return torch.randn(batch, tokens, self.config.dim, device=device, dtype=dtype)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def decode(self, x_BD: Tensor) -> Tensor:
        """One token of each sequence."""
        return self(x_BD.unsqueeze(1)).squeeze(1)
