"""Limits of control groups, in both of their versions."""

from pathlib import Path

import pytest

from effattn_cli.host import container

NOWHERE = Path("/nowhere")


def written(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
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
    assert container.cores(8, written(tmp_path, **files), NOWHERE) == cores


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
    assert container.memory(1000, written(tmp_path, **files), NOWHERE) == memory


@pytest.mark.parametrize(
    ("own", "files", "cores", "memory", "free"),
    [
        ("0::/user/job", {"user__job__cpu_dot_max": "100000 100000"}, 1.0, 1000, 900),
        ("0::/user/job", {"user__cpu_dot_max": "200000 100000"}, 2.0, 1000, 900),
        ("0::/user/job", {"other__cpu_dot_max": "100000 100000"}, 8.0, 1000, 900),
        ("0::/user/job",
         {"user__job__memory_dot_max": "700", "user__job__memory_dot_current": "100",
          "user__memory_dot_max": "500", "user__memory_dot_current": "450"}, 8.0, 500, 50),
        ("0::/user/job", {"user__job__memory_dot_max": "max"}, 8.0, 1000, 900),
        ("4:cpu,cpuacct:/a\n5:memory:/b",
         {"cpu,cpuacct__a__cpu_dot_cfs_quota_us": "150000",
          "cpu,cpuacct__a__cpu_dot_cfs_period_us": "100000",
          "memory__b__memory_dot_limit_in_bytes": "300",
          "memory__b__memory_dot_usage_in_bytes": "400",
          "memory__a__memory_dot_limit_in_bytes": "1"}, 1.5, 300, 0),
        ("0::/../outside", {"memory_dot_max": "800"}, 8.0, 800, 800),
        ("what is this", {"memory_dot_max": "800"}, 8.0, 800, 800),
    ],
)  # fmt: skip
def test_the_least_of_the_own_group_and_all_above(
    tmp_path: Path, own: str, files: dict[str, str], cores: float, memory: int, free: int
) -> None:
    root = written(tmp_path / "tree", **files)
    (tmp_path / "own").write_text(own + "\n")
    assert container.cores(8, root, tmp_path / "own") == cores
    assert container.memory(1000, root, tmp_path / "own") == memory
    assert container.free_memory(900, root, tmp_path / "own") == free
