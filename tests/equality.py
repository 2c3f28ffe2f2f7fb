"""The core of a layer against another definition of it: what they give, and their gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from effattn_cli import laws

Reference = Callable[..., Tensor]


def leaves_of(layer: Any, tokens: int, scale: float = 1) -> list[Tensor]:
    """What the core takes of seeded tokens, detached from the projections."""
    inputs = layer.project(scale * laws.tokens_in(tokens).double())
    return [x.detach().requires_grad_() for x in inputs]


def equals_its_reference(
    layer: Any,
    reference: Reference,
    *,
    tokens: int | None = None,
    padded: bool = False,
    parameters: Sequence[Tensor] = (),
    scale: float = 1,
    tolerance: float = 1e-9,
) -> None:
    """Holds output and gradients to the reference's, where an output is real.

    The layer is given as many tokens as it was made for, or `tokens`. Gradients are those of the
    inputs and of `parameters`. With `padded`, three fifths of the second sequence are padding.
    """
    tokens = layer.config.tokens if tokens is None else tokens
    inputs = leaves_of(layer, tokens, scale)
    valid_BT = torch.arange(tokens) < torch.tensor([[tokens], [-(-2 * tokens // 5)]])
    keep_BT = layer.output_mask(valid_BT if padded else torch.ones_like(valid_BT))
    mask_BT = valid_BT if padded else None
    both = layer.attend(*inputs, mask_BT), reference(layer, *inputs, mask_BT)
    assert both[0].isfinite().all()  # at padding too
    outs = [out_BHTK.transpose(1, 2)[keep_BT] for out_BHTK in both]
    torch.testing.assert_close(outs[0], outs[1], rtol=tolerance, atol=tolerance)
    leaves = [*inputs, *parameters]
    got, want = (torch.autograd.grad(o.square().sum(), leaves, allow_unused=True) for o in outs)
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


@torch.no_grad()
def errors(layer: Any, reference: Reference) -> Tensor:
    """How far each number of the core's output is from the reference's."""
    inputs = leaves_of(layer, layer.config.tokens)
    difference: Tensor = layer.attend(*inputs) - reference(layer, *inputs, None)
    return difference.abs()


def mean_error(layer: Any, reference: Reference) -> float:
    return errors(layer, reference).mean().item()


@torch.no_grad()
def relative_error(layer: Any, reference: Reference) -> float:
    """The norm of the difference, as a part of the norm of the reference's output."""
    inputs = leaves_of(layer, layer.config.tokens)
    want = reference(layer, *inputs, None)
    return float((layer.attend(*inputs) - want).norm() / want.norm())
