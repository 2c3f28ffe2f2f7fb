"""Energy that a device has drawn, by its own counter, where there is one that can be read.

NVIDIA's driver counts for a GPU; RAPL counts for the packages of a CPU, for all that runs there.
A call that would have drawn more than the device may draw, or nothing, has no figure: a counter or
a short call has misled, and a wrong number is worse than none.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from effattn_cli.devices import nvml

RAPL = Path("/sys/class/powercap")
IDLE_SECONDS = 0.2  # of watching what the device draws for nothing
#: Seconds beside which a counter's steps are small: up to 0.1 s on a GPU, a thousandth on a CPU.
SHORTEST = {"cpu": 0.2, "cuda": 0.5}
SLACK = 1.1  # a power limit holds on average, and counters are a few percent off


@dataclass(frozen=True)
class Meter:
    """Reads a counter of joules. `idle` is what the device draws, in watts, while nothing runs."""

    read: Callable[[], float]
    idle: float
    begun: float
    at_start: float
    limit: float | None = None  # watts that the device keeps below; None: not known
    shortest: float = SHORTEST["cpu"]

    @classmethod
    def start(cls, device: str) -> "Meter | None":
        """After a look at the idle device; None where nothing counts."""
        counter = _counter(device)
        if counter is None:
            return None
        read, limit = counter
        before, begun = read(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        after, now = read(), time.monotonic()
        watts = max(0.0, after - before) / (now - begun)
        return cls(read, watts, now, after, limit, SHORTEST[torch.device(device).type])

    def missing(self) -> float:
        """Seconds until it has counted for long enough."""
        return max(0.0, self.begun + self.shortest - time.monotonic())

    def joules(self, calls: int, seconds: float) -> float | None:
        """Of one call, of so many since the start, beyond what the idle device would have drawn.

        None where it was too short for the counter, where the counter began anew, where the idle
        device would have drawn as much, or where it is more than the device may draw in the
        `seconds` of a call.
        """
        drawn, elapsed = self.read() - self.at_start, time.monotonic() - self.begun
        net = (drawn - self.idle * elapsed) / calls
        if elapsed < self.shortest or net <= 0:
            return None
        return net if self.limit is None or net <= SLACK * self.limit * seconds else None


def prepare() -> None:
    """Looks for the counters of a CPU, which every process would look for again."""
    _rapl(RAPL)


def _counter(device: str) -> tuple[Callable[[], float], float | None] | None:
    """Reads joules; and the watts that the device keeps below, where they are known."""
    if device == "cpu":
        return _rapl(RAPL)
    if nvml.joules(device) is None:
        return None
    return lambda: nvml.joules(device) or 0.0, nvml.watts(device)


@cache
def _rapl(folder: Path) -> tuple[Callable[[], float], float | None] | None:
    """All packages together."""
    counters = [*folder.glob("intel-rapl:?/energy_uj"), *folder.glob("amd-rapl:?/energy_uj")]
    files = [file for file in counters if not _is_platform(file.parent)]

    def read() -> float:
        return sum(int(file.read_text()) for file in files) / 1e6

    try:
        if not files or read() <= 0:
            return None
    except (OSError, ValueError):  # only the superuser may read it, on most systems
        return None
    limits = [_limit(file.parent) for file in files]
    return read, sum(limits) if all(limits) else None


def _is_platform(domain: Path) -> bool:
    """Whether it counts the whole board, the packages among it."""
    try:
        return (domain / "name").read_text().strip() == "psys"
    except OSError:
        return False


def _limit(package: Path) -> float:
    """Watts that the package may draw for a second or longer; 0 where that is not known."""
    try:
        limits = [int(file.read_text()) for file in package.glob("constraint_?_power_limit_uw")]
    except (OSError, ValueError):
        return 0.0
    return max(limits, default=0) / 1e6
