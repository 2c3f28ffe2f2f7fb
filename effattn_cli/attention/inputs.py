"""The inputs of a variant's core for each token, by name, each with its shape.

These are queries, keys and values unless a variant declares others: a decay, a step size, gates, a
latent shared by all heads. A core that is measured alone gets random ones, drawn to resemble those
in a model: a decay, for example, is not Gaussian.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

#: Makes a tensor of a shape; called like `torch.randn`, with `device` and `dtype`.
Sample = Callable[..., Tensor]


def normal(*shape: int, **like: Any) -> Tensor:
    """Standard normal, like queries, keys and values at the start of training."""
    return torch.randn(*shape, **like)


def gate(*shape: int, **like: Any) -> Tensor:
    """A gate between 0 and 1: the sigmoid of a normal."""
    return torch.randn(*shape, **like).sigmoid()


def decay(*shape: int, **like: Any) -> Tensor:
    """The log of a decay: negative, mostly close to 0.

    A sixteenth of the log-sigmoid of a normal, as in gated linear attention (arXiv:2312.06635).
    """
    return logsigmoid(torch.randn(*shape, **like)) / 16


def step_size(*shape: int, **like: Any) -> Tensor:
    """A positive step size: the softplus of a normal around -3, as in state-space models."""
    return softplus(torch.randn(*shape, **like) - 3)


@dataclass(frozen=True)
class Input:
    """An input of a core: for each token, `heads` heads of `width` values each.

    `heads` and `width` are numbers, or names of what the layer knows: `heads`, `kv_heads`,
    `head_dim`, or an attribute that the variant sets before it calls the constructor of its base
    class. With heads=None all heads share it, and there is no such axis; with width=None it is a
    scalar.
    """

    heads: int | str | None = "heads"
    width: int | str | None = "head_dim"
    sample: Sample = normal

    def sizes(self, layer: Any) -> tuple[int | None, int | None]:
        """Heads and width in a layer; None for an axis that does not exist."""
        heads, width = self.heads, self.width
        return (
            getattr(layer, heads) if isinstance(heads, str) else heads,
            getattr(layer, width) if isinstance(width, str) else width,
        )

    def split(self, layer: Any, y_BTE: Tensor) -> Tensor:
        """Reshapes a projection, (B, T, H K), for the core: (B, H, T, K), or without an axis."""
        heads, width = self.sizes(layer)
        of_head = () if width is None else (width,)
        batch, tokens = y_BTE.shape[:2]
        if heads is None:
            return y_BTE.view(batch, tokens, *of_head)
        if tokens == 1:  # in decoding, each small operator counts
            return y_BTE.view(batch, heads, 1, *of_head)
        return y_BTE.view(batch, tokens, heads, *of_head).transpose(1, 2)

    def random(self, layer: Any, batch: int, tokens: int, **like: Any) -> Tensor:
        """A random input for a core alone, laid out as a layer does: (B, T, H, K) in memory."""
        heads, width = self.sizes(layer)
        shape = [size for size in (batch, tokens, heads, width) if size is not None]
        made = self.sample(*shape, **like)
        return made if heads is None else made.transpose(1, 2)

    def of_token(self, tensor: Tensor) -> Tensor:
        """Of an input for one token, drops the token axis."""
        return tensor.squeeze(1 if self.heads is None else 2)

    def numbers(self, layer: Any) -> int:
        """How many values a token has."""
        heads, width = self.sizes(layer)
        return (heads or 1) * (width or 1)


#: Queries, keys and values: the inputs of softmax attention, and the default of a variant.
QKV: Mapping[str, Input] = {"q": Input(), "k": Input("kv_heads"), "v": Input("kv_heads")}
