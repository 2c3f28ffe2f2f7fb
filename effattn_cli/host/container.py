"""What a container grants of the machine that it runs on, by its control group."""

from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def cores(usable: int, root: Path = ROOT) -> float:
    """Cores' worth of time, of `usable` ones: its quota, or all of them."""
    quotas = [_numbers(root / "cpu.max")]
    quotas += [
        _numbers(root / folder / "cpu.cfs_quota_us", root / folder / "cpu.cfs_period_us")
        for folder in ("cpu", "cpu,cpuacct")
    ]
    granted = [pair[0] / pair[1] for pair in quotas if len(pair) == 2 and min(pair) > 0]
    return min([float(usable), *granted])


def memory(total: int, root: Path = ROOT) -> int:
    """Bytes, of `total`: its limit, or all of them."""
    files = root / "memory.max", root / "memory" / "memory.limit_in_bytes"
    return min([total, *(limit for file in files for limit in _numbers(file) if limit > 0)])


def _numbers(*files: Path) -> list[int]:
    """Of all files together; nothing where one is missing or says `max`."""
    with suppress(OSError, ValueError):
        return [int(word) for file in files for word in file.read_text().split()]
    return []
