"""Times one call: by the processor's clock on a CPU, by events on an accelerator."""

import time
from collections.abc import Callable
from typing import Any

import torch

Call = Callable[[], Any]


def timer(device: str) -> Callable[[Call], float]:
    """A function that runs a call and gives its seconds, everything it started included."""
    return _by_clock if device == "cpu" else _by_events(torch.device(device))


def _by_clock(call: Call) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e9


def _by_events(device: torch.device) -> Callable[[Call], float]:
    def run(call: Call) -> float:
        begin, end = (torch.Event(device, enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3

    return run
