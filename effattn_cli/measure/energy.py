"""Energy that a device has drawn, by its own counter, where there is one that can be read.

NVIDIA's driver counts for a GPU; RAPL counts for the packages of a CPU, for all that runs there.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

RAPL = Path("/sys/class/powercap")
IDLE_SECONDS = 0.2  # of watching what the device draws for nothing
SHORTEST = 0.2  # seconds; the counters move in steps of up to a tenth of a second


@dataclass(frozen=True)
class Meter:
    """Reads a counter of joules. `idle` is what the device draws, in watts, while nothing runs."""

    read: Callable[[], float]
    idle: float
    begun: float
    at_start: float

    @classmethod
    def start(cls, device: str) -> "Meter | None":
        """After a look at the idle device; None where nothing counts."""
        read = _counter(device)
        if read is None:
            return None
        before, begun = read(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        after, now = read(), time.monotonic()
        return cls(read, max(0.0, after - before) / (now - begun), now, after)

    def joules(self, calls: int) -> float | None:
        """Of one call, of so many since the start, beyond what the idle device would have drawn.

        None where it was too short for the counter, or where the counter began anew.
        """
        drawn, elapsed = self.read() - self.at_start, time.monotonic() - self.begun
        if elapsed < SHORTEST or drawn <= 0:
            return None
        return max(0.0, drawn - self.idle * elapsed) / calls


def prepare() -> None:
    """Looks for the counters of a CPU, which every process would look for again."""
    _rapl(RAPL)


def _counter(device: str) -> Callable[[], float] | None:
    place = torch.device(device)
    if place.type == "cpu":
        return _rapl(RAPL)
    return _nvml(place.index or 0) if place.type == "cuda" and torch.version.cuda else None


@cache
def _rapl(folder: Path) -> Callable[[], float] | None:
    """All packages together."""
    files = [*folder.glob("intel-rapl:?/energy_uj"), *folder.glob("amd-rapl:?/energy_uj")]

    def read() -> float:
        return sum(int(file.read_text()) for file in files) / 1e6

    try:
        return read if files and read() > 0 else None
    except (OSError, ValueError):  # only the superuser may read it, on most systems
        return None


def _nvml(index: int) -> Callable[[], float] | None:
    import pynvml  # noqa: PLC0415

    try:
        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(index).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
