"""What a process may take, and how to make sure that nothing outlives it. No torch."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Collection
from pathlib import Path

from effattn_cli.host import container, heap
from effattn_cli.machine import Machine

LINUX = sys.platform == "linux"
INSTRUMENTS = 192 * 2**20  # bytes
THREAD = 16 * 2**20  # bytes
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent() -> None:
    """The kernel kills this process when its parent dies, however that happens."""
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def live_on() -> None:
    """Takes `die_with_parent` back."""
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 0)


def adopt_orphans() -> None:
    """Grandchildren whose parent dies become this process's children, so it can end them."""
    if LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def with_allowance(limit: int, *, threads: int = 1, needs: int | None = None) -> int:
    """Bytes for a process in which a cell may take `limit`: what has been counted decides whether
    a cell fits, and this is the net below it, for what nobody counted.

    Beside the cell there are what the instruments hold, 64 MiB that a retained heap takes at a
    time, and stacks and buffers of the threads. What the cell `needs`, as counted, it may take
    thrice: weights are made in float32 and scaled before they are what they stay, and a heap that
    returns nothing has gaps.
    """
    spare = limit // 4 if needs is None else 2 * needs
    return limit + spare + INSTRUMENTS + threads * THREAD


def limit_memory(extra: int) -> None:
    """This process may allocate `extra` bytes beyond what it holds now."""
    if not LINUX:
        return
    limit = heap.status("VmData") + extra
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with contextlib.suppress(OSError):  # if the machine runs out all the same, take this one
        Path("/proc/self/oom_score_adj").write_text("1000")


def killed_for_memory() -> int:
    """Processes that the kernel has ended so far because the machine ran out of memory."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def kill_descendants(pid: int, spare: Collection[int] = ()) -> None:
    """Ends the process group of `pid`, and all that is below this process but `spare`."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    kill_children(spare)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def kill_children(spare: Collection[int] = ()) -> None:
    """Ends every process below this one but those of `spare` and what is below them."""
    while orphans := [child for child in children() if child not in spare]:
        for child in orphans:  # the end of one brings its own children here
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def children() -> list[int]:
    """The processes right below this one."""
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except OSError:  # a kernel without that list, or no Linux
        import psutil  # noqa: PLC0415

        return [child.pid for child in psutil.Process().children()]
    return [int(word) for word in text.split()]


def usual_memory_limit() -> int:
    """What a process may take, unless told otherwise: 80 % of the available memory."""
    return int(0.8 * available_memory())


def usual_accelerator_limit(machine: Machine) -> int | None:
    """The same share of what was free on its accelerator; None where that is not known."""
    free = machine.accelerator_free_bytes or machine.accelerator_memory_bytes
    return int(0.8 * free) if free else None


def available_memory() -> int:
    """Bytes that can be allocated without swapping, container limits respected."""
    import psutil  # noqa: PLC0415

    return container.free_memory(int(psutil.virtual_memory().available))
