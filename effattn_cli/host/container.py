"""What a container grants of the machine that it runs on: the limits of its control group.

A group has what it and every group above it allow. Version 2 has one tree of groups, version 1 one
for each controller; inside a container the tree may begin at its own group.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def cores(usable: int, root: Path = ROOT, own: Path = OWN) -> float:
    """Cores' worth of time, of `usable` ones: the lowest quota, or all of them."""
    granted = [float(usable)]
    for group in _groups("cpu", root, own):
        for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            quota = _numbers(*(group / file for file in files))
            if len(quota) == 2 and min(quota) > 0:
                granted.append(quota[0] / quota[1])
    return min(granted)


def memory(total: int, root: Path = ROOT, own: Path = OWN) -> int:
    """Bytes, of `total`: the lowest limit, or all of them."""
    return min([total, *(limit for limit, _ in _memory(root, own))])


def free_memory(free: int, root: Path = ROOT, own: Path = OWN) -> int:
    """Bytes, of the `free` ones of the machine, that no limit stands in the way of."""
    return max(0, min([free, *(limit - used for limit, used in _memory(root, own))]))


def _memory(root: Path, own: Path) -> Iterator[tuple[int, int]]:
    """The limit of each group that has one, and what is used of it."""
    for group in _groups("memory", root, own):
        for limit, used in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limits = _numbers(group / limit)
            if limits and limits[0] > 0:
                yield limits[0], sum(_numbers(group / used))


def _groups(controller: str, root: Path, own: Path) -> Iterator[Path]:
    """The folders of this process's groups that may limit `controller`, and all above them."""
    folders = {root, root / controller}
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            tree = root / controllers
            group = tree / path.lstrip("/")
            folders |= {tree, group, *(above for above in group.parents if tree in above.parents)}
    yield from sorted(folders)


def _numbers(*files: Path) -> list[int]:
    """Of all files together; nothing where one is missing or says `max`."""
    with suppress(OSError, ValueError):
        return [int(word) for file in files for word in file.read_text().split()]
    return []
