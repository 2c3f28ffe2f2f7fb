"""How busy other processes keep the machine: a benchmark beside them is not to be trusted."""

import os
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
SHORTEST = 0.1  # seconds; the kernel counts in ticks of 10 ms, below this it says nothing


class BackgroundLoad:
    """Cores that others kept busy since it was made; None where the system does not tell."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._busy, self._own = _busy_seconds(), _own_seconds()

    def cores(self) -> float | None:
        busy, elapsed = _busy_seconds(), time.monotonic() - self._start
        if busy is None or self._busy is None or elapsed < SHORTEST:
            return None
        return round(max(0.0, busy - self._busy - (_own_seconds() - self._own)) / elapsed, 2)


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _busy_seconds() -> float | None:
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(word) for word in fields[:8])
    return (user + nice + system + irq + softirq + steal) / _TICK
