"""Choices that depend on the dtype: when to compute in a wider one, and its lowest score."""

import torch
from torch import Tensor

WIDE = frozenset((torch.float32, torch.float64))


def wide(x: Tensor) -> Tensor:
    """In at least float32: in half types long sums stop growing, and small weights become 0."""
    if x.dtype in WIDE:
        return x  # asking torch would take longer than a small operator
    return x.to(torch.promote_types(x.dtype, torch.float32))


def lowest(like: Tensor) -> float:
    """A score with no weight beside any other; finite, so that a row of only these is too."""
    return torch.finfo(like.dtype).min
