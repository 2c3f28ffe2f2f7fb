"""Tasks on a Ray cluster of two nodes on this machine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from effattn_cli.app import supervisor
from tests.running import effattn
from tests.targets.far import LONG, ROUNDS, SWEEP, WHOLE, of_all_shards, sweep_of

pytest.importorskip("ray", reason="ray is not installed: pip install 'effattn[ray]'")

#: In a process of its own: a cluster, until its input closes.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    print("gone", flush=True)
cluster.shutdown()
"""
COMMAND = "from effattn_cli.cli import main; main()"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Its address, and the process that holds it."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address
        yield address, process
        process.communicate()


def measured(address: str, folder: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words, "--on", f"ray:{address}"],
        cwd=folder, env=os.environ | {"COLUMNS": "80", "NO_COLOR": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_without_a_cluster_that_is_said(tmp_path: Path) -> None:
    found = effattn(*SWEEP, "--on", "ray:127.0.0.1:1", "-o", "out", cwd=tmp_path)
    assert found.returncode == 2
    assert "error: --on ray: no cluster at 127.0.0.1:1" in found.stderr


@pytest.mark.in_ci
def test_a_shard_on_each_node_then_ctrl_c_then_a_node_that_is_lost(
    cluster: Any, tmp_path: Path
) -> None:
    address, holder = cluster
    with measured(address, tmp_path, *SWEEP, "-o", "one") as process:
        _, said = process.communicate(timeout=280)
    assert process.returncode == 0, said
    profile = of_all_shards(tmp_path / "one", said)
    assert sweep_of(profile) == WHOLE

    parts = [tmp_path / f"two/parts/shard-{number}-of-2.yaml" for number in (1, 2)]
    with measured(address, tmp_path, *LONG, "-o", "two") as process:
        while process.poll() is None and not any(map(supervisor.measured, parts)):
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=90)
    assert process.returncode == 130, said

    before = sum(map(supervisor.measured, parts))
    assert before
    with measured(address, tmp_path, "profile", "--resume", "two") as process:
        time.sleep(5)
        holder.stdin.write("remove\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "gone\n"
        _, said = process.communicate(timeout=280)
    assert process.returncode == 0, said
    profile = of_all_shards(tmp_path / "two", said)
    assert [row[:2] for row in sweep_of(profile)] == [row[:2] for row in WHOLE]
    assert all(runs >= ROUNDS for *_, runs in sweep_of(profile))
