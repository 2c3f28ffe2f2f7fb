"""How much more of a process becomes resident while something runs. No torch."""

import threading
from collections.abc import Callable
from typing import Any

from effattn_cli.host import heap

MARK, LOOKED_AT = "the system's high-water mark", "looked at every millisecond"
INTERVAL = 0.001  # seconds


def growth(call: Callable[[], Any], times: int = 1) -> tuple[int, str]:
    """Bytes at the worst moment beyond those before, and how that was found."""
    if not heap.reset_resident_peak():
        return _looked_at(call, times), LOOKED_AT
    before = heap.resident()
    for _ in range(times):
        call()
    return max(0, heap.resident_peak() - before), MARK


def _looked_at(call: Callable[[], Any], times: int) -> int:
    """By a thread beside the call, where the system keeps no mark."""
    import psutil  # noqa: PLC0415

    process, done = psutil.Process(), threading.Event()
    before = highest = process.memory_info().rss

    def look() -> None:
        nonlocal highest
        while not done.wait(INTERVAL):
            highest = max(highest, process.memory_info().rss)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(times):
            call()
    finally:
        done.set()
        thread.join()
    return int(highest - before)
