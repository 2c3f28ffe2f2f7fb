"""A glance at how fast a device is, for estimates before anything has been measured."""

import torch

from effattn_cli.measure.clock import timer
from effattn_cli.measure.subject import DTYPES
from effattn_cli.records import Speed


def measure(device: str, dtype: str) -> Speed:
    """The best of three tries; a tenth of a second on a CPU."""
    size, time_one = 1024, timer(device)
    a = torch.randn(size, size, device=device).to(DTYPES[dtype])
    source = torch.ones(16 << 20, device=device)
    target = torch.empty_like(source)
    for call in (lambda: a @ a, lambda: target.copy_(source)):
        time_one(call)
    product = min(time_one(lambda: a @ a) for _ in range(3))
    copy = min(time_one(lambda: target.copy_(source)) for _ in range(3))
    return Speed(flops=2 * size**3 / product, bytes=2 * source.nbytes / copy)
