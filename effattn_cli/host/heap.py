"""This process's heap: keep freed memory or return it, and how much of it is resident. No torch."""

import ctypes
import sys
from pathlib import Path

# glibc's mallopt parameters
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4


def retain_heap() -> bool:
    """Keeps freed memory in the process, as a GPU's caching allocator does. False: cannot.

    By default glibc returns large blocks to the system, and each call pays the page faults again;
    that alone changes ratios between variants by more than 2.
    """
    return _mallopt(_MMAP_MAX, 0) and _mallopt(_TRIM_THRESHOLD, -1) and _mallopt(_TOP_PAD, 64 << 20)


def return_freed_memory() -> bool:
    """Large blocks go back at once, so that the resident size says what is alive. False: cannot."""
    return _mallopt(_MMAP_THRESHOLD, 128 << 10)


def _mallopt(parameter: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and mallopt(parameter, ctypes.c_int(value)) == 1


def faults() -> int:
    """Pages that this process was given so far; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415  # there is none on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def resident_peak() -> int:
    """The most memory that was resident since `reset_resident_peak`, in bytes."""
    return status("VmHWM")


def resident() -> int:
    return status("VmRSS")


def reset_resident_peak() -> bool:
    """False where the system keeps no such mark."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0
