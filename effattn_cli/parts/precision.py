"""What the width of a number decides: where to compute in more, and what the least of it is."""

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """In float32 at least: in half types long sums stand still, and small weights are 0."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def lowest(like: Tensor) -> float:
    """A score that weighs nothing beside any other; finite, so that a row of nothing else is."""
    return torch.finfo(like.dtype).min
