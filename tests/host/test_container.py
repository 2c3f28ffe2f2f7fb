"""Limits of control groups, in both of their versions."""

from pathlib import Path

import pytest

from effattn_cli.host import container


def written(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8.0),
        ({"cpu_dot_max": "max 100000"}, 8.0),
        ({"cpu_dot_max": "150000 100000"}, 1.5),
        ({"cpu_dot_max": "1600000 100000"}, 8.0),
        ({"cpu_dot_max": ""}, 8.0),
        ({"cpu__cpu_dot_cfs_quota_us": "-1", "cpu__cpu_dot_cfs_period_us": "100000"}, 8.0),
        ({"cpu__cpu_dot_cfs_quota_us": "50000", "cpu__cpu_dot_cfs_period_us": "100000"}, 0.5),
        ({"cpu__cpu_dot_cfs_quota_us": "50000"}, 8.0),
    ],
)
def test_cores(tmp_path: Path, files: dict[str, str], cores: float) -> None:
    assert container.cores(8, written(tmp_path, **files)) == cores


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({}, 1000),
        ({"memory_dot_max": "max"}, 1000),
        ({"memory_dot_max": "300"}, 300),
        ({"memory__memory_dot_limit_in_bytes": "9223372036854771712"}, 1000),
        ({"memory__memory_dot_limit_in_bytes": "200"}, 200),
    ],
)
def test_memory(tmp_path: Path, files: dict[str, str], memory: int) -> None:
    assert container.memory(1000, written(tmp_path, **files)) == memory
