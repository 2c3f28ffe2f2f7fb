"""A small fixed kernel: if its time changes, the machine changed, not what is measured."""

import torch

from effattn_cli.devices.timing import timer

TRIES, CALLS = 5, 20
ON_CPU = 2048  # exponentials; too few to be split among threads
ON_ACCELERATOR = 1024  # rows of a square product


def seconds(device: str) -> float:
    """Seconds of one call of the kernel, the best of some tries; takes a millisecond on a CPU."""
    time_one = timer(device)
    if device == "cpu":
        x = torch.zeros(ON_CPU)
        out = torch.empty_like(x)

        def call() -> None:
            for _ in range(CALLS):
                torch.exp(x, out=out)
    else:
        x = torch.ones(ON_ACCELERATOR, ON_ACCELERATOR, device=device)
        out = torch.empty_like(x)

        def call() -> None:
            for _ in range(CALLS):
                torch.mm(x, x, out=out)

    time_one(call)
    return round(min(time_one(call) for _ in range(TRIES)) / CALLS, 9)
