"""The CPU that this process runs on, found without torch."""

import os
import platform
from contextlib import suppress
from pathlib import Path

from effattn_cli.host import container

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
USUAL_CACHE = 32 << 20  # bytes of a CPU's largest cache, where the system does not tell
#: Bytes that copies of a layer may take, which leave nothing of it in the caches.
COPIES_BYTES = 1 << 30


def model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cache_bytes(folder: Path = CACHES) -> int:
    """The size of the largest cache, as far as the system tells it."""
    sizes = [0]
    for file in folder.glob("index*/size"):
        with suppress(OSError, ValueError):
            sizes.append(int(file.read_text().strip().removesuffix("K")) << 10)
    return max(sizes) or USUAL_CACHE


def allowed() -> float:
    """Cores' worth of time that this process may take."""
    here = hasattr(os, "sched_getaffinity")
    return container.cores(len(os.sched_getaffinity(0)) if here else os.cpu_count() or 1)


def threads_asked_for() -> tuple[str, int] | None:
    """The variable that sets how many threads numeric libraries begin, and its number."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        if (number := os.environ.get(name, "").partition(",")[0].strip()).isdigit():
            return name, int(number)
    return None


def cores() -> int:
    """Whole cores of that: with one more it would be stopped when the quota is spent."""
    return max(1, int(allowed()))
