"""Times calls: by the processor's clock on a CPU, by events on an accelerator."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Call = Callable[[], Any]
L2_BYTES = 256 << 20  # taken for the size of a cache that does not tell its own


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each call of a block, everything that it started included.

    `launches`: how long the CPU took to start it all; empty where the CPU does the work itself.
    """

    seconds: list[float]
    launches: list[float]


Block = Callable[[int], Times]


def block(device: str, call: Call, before: Call | None = None) -> Block:
    """A function that runs `call` so many times in a row and times each.

    An accelerator is waited for at the end of the block only: while it works on one call, the CPU
    starts the next, as in a model. `before` runs ahead of each call and is not timed. On an
    accelerator its work gives the CPU a head start, so less is seen of a launch that takes longer
    than the work it starts.
    """
    return _by_clock(call) if device == "cpu" else _by_events(torch.device(device), call, before)


def timer(device: str) -> Callable[[Call], float]:
    """A function that runs a call by itself and gives its seconds."""
    return lambda call: block(device, call)(1).seconds[0]


def _by_clock(call: Call) -> Block:
    def run(count: int) -> Times:
        seconds = []
        for _ in range(count):
            start = time.perf_counter_ns()
            call()
            seconds.append((time.perf_counter_ns() - start) / 1e9)
        return Times(seconds, [])

    return run


def _by_events(device: torch.device, call: Call, before: Call | None) -> Block:
    def run(count: int) -> Times:
        pairs, launches = [], []
        for _ in range(count):
            if before is not None:
                before()
            begin, end = (torch.Event(device, enable_timing=True) for _ in range(2))
            begin.record()
            start = time.perf_counter_ns()
            call()
            launches.append((time.perf_counter_ns() - start) / 1e9)
            end.record()
            pairs.append((begin, end))
        pairs[-1][1].synchronize()
        return Times([begin.elapsed_time(end) / 1e3 for begin, end in pairs], launches)

    return run


def overwriting(device: str) -> Call:
    """A call that leaves nothing of what was there in an accelerator's cache."""
    place = torch.device(device)
    size = 0
    if place.type == "cuda":  # twice its size: not every way of filling a cache empties it
        size = 2 * getattr(torch.cuda.get_device_properties(place), "L2_cache_size", 0)
    return torch.empty(size or L2_BYTES, dtype=torch.uint8, device=place).zero_
