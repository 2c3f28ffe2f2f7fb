"""The kind of device that a program is for: a cell is counted on fake CPU tensors."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_counted_for: list[str] = []


@contextmanager
def counted_for(device: str) -> Iterator[None]:
    """Tensors inside stand for tensors of this device, so that its own program is counted."""
    _counted_for.append(torch.device(device).type)
    try:
        yield
    finally:
        _counted_for.pop()


def device_type(x: Tensor) -> str:
    """cpu, cuda, ...: of the tensor, or of what it stands for."""
    return _counted_for[-1] if _counted_for else x.device.type


def stands_for_another(x: Tensor) -> bool:
    """Whether a cell is being counted whose device is none of the tensor's kind."""
    return device_type(x) != x.device.type
