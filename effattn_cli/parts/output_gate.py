"""Gates on what attention gives, before its last projection (arXiv:2505.06708)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from effattn_cli.attention import Unsupported

#: A sigmoid for each channel, a sigmoid for each head, or a softplus for each head.
Gate = Literal["element", "head", "softplus"]


def width(gate: str, head_width: int) -> int | None:
    """Of a gate's input: as wide as a head, or a number for each head.

    Raises:
        Unsupported: there is no such gate.
    """
    if gate not in {"element", "head", "softplus"}:
        raise Unsupported(f"gate {gate!r} is not element, head or softplus")
    return head_width if gate == "element" else None


def gated(gate: str, y: Tensor, x: Tensor) -> Tensor:
    """`y`, of which the gate's input `x` lets a share through."""
    share = softplus(x) if gate == "softplus" else torch.sigmoid(x)
    return y * (share if gate == "element" else share.unsqueeze(-1))
