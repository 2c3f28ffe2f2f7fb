"""Gates on the output of attention, before the output projection (arXiv:2505.06708)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from effattn_cli.attention import Unsupported

#: A sigmoid per channel, a sigmoid per head, or a softplus per head.
Gate = Literal["element", "head", "softplus"]


def width(gate: str, head_width: int) -> int | None:
    """The width of a gate's input: that of a head, or None for one number per head.

    Raises:
        Unsupported: there is no such gate.
    """
    if gate not in {"element", "head", "softplus"}:
        raise Unsupported(f"gate {gate!r} is not element, head or softplus")
    return head_width if gate == "element" else None


def gated(gate: str, y: Tensor, x: Tensor) -> Tensor:
    """`y`, multiplied by a gate computed from `x`."""
    share = softplus(x) if gate == "softplus" else torch.sigmoid(x)
    return y * (share if gate == "element" else share.unsqueeze(-1))
