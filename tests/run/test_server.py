"""Real processes: what a plugin may do to its own, and to no other."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from effattn_cli.records import Cell, Failure, Record, Sampling
from effattn_cli.run import outcome, results
from effattn_cli.run.fork_server import ForkServer, Job

pytestmark = pytest.mark.xdist_group("server")
SAMPLING = asdict(Sampling(seconds=0.01, max_samples=8))
PLUGIN = '''
from effattn_cli.attention import Attention, Card

class Bad(Attention):
    """Does harm."""
    card = Card(title="Bad", families=("test",), paper="", year=2026, time="N", memory="N",
                causal="optional", kind="own mechanism")

    def attend(self, q, k, v, real=None):
        {body}
        return v.clone()
'''


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer() as started:
        yield started


def job(name: str, path: Path | None = None, **more: object) -> Job:
    cell = Cell(variant="bad" if path else "sdpa", seq=64, dim=64, heads=2)
    payload = {"cell": asdict(cell), "path": str(path) if path else None, "sampling": SAMPLING}
    return Job(name=name, payload=payload | {"expected": None}, **more)  # type: ignore[arg-type]


def failure_of(server: ForkServer, wanted: Job) -> Failure | None:
    told = outcome.answer(server.run(wanted), wanted.timeout)
    return told if isinstance(told, Failure) else None


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        ("raise ValueError('no')", "raised", "ValueError: no (bad.py:10)"),
        ("import os; os._exit(0)", "crashed", "ended without an answer"),
        ("import os; os._exit(5)", "crashed", "exit code 5"),
        ("import sys; sys.exit(5)", "raised", "SystemExit: 5"),
        ("import os; os.abort()", "crashed", "signal 6 (SIGABRT)"),
        ("import os; os.kill(os.getpid(), 9)", "crashed", "signal 9 (SIGKILL)"),
        ("import ctypes; ctypes.string_at(0)", "crashed", "signal 11 (SIGSEGV)"),
        ("import time; time.sleep(60)", "timeout", "no answer within 2 s"),
        ("return v / 0", "not-finite", "NaN or infinity"),
        ("return v[..., :1]", "wrong-shape", "the output is"),
        ("import torch; torch.empty(2**40)", "out-of-memory", "can't allocate memory"),
        ("bytearray(2**36)", "out-of-memory", "MemoryError"),
        ("import os; os.closerange(3, 999); os.kill(os.getpid(), 15)", "crashed", "SIGTERM"),
    ],
)
def test_a_bad_plugin_is_a_failure_with_its_reason(
    server: ForkServer, tmp_path: Path, body: str, reason: str, words: str
) -> None:
    path = tmp_path / "bad.py"
    path.write_text(PLUGIN.format(body=body))
    failure = failure_of(server, job("memory", path, timeout=2.0, memory=4 << 30))
    assert failure is not None
    assert failure.reason == reason
    assert words in failure.message
    assert failure_of(server, job("memory")) is None  # the next cell is as if nothing had happened


def test_what_it_printed_last_is_kept_and_the_rest_is_not(
    server: ForkServer, tmp_path: Path
) -> None:
    path = tmp_path / "bad.py"
    path.write_text(PLUGIN.format(body="print('x' * 9_000_000); print('last'); raise OSError"))
    failure = failure_of(server, job("memory", path))
    assert failure is not None
    assert "last" in failure.output or any("OSError" in line for line in failure.output)
    assert sum(map(len, failure.output)) < 20_000


def test_what_it_leaves_running_is_ended(server: ForkServer, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    lines = (
        "import os, subprocess; p = subprocess.Popen(['sleep', '98765'], start_new_session=True)"
    )
    path.write_text(PLUGIN.format(body=lines))
    server.run(job("memory", path))
    server.run(Job(name="nothing"))  # the next job begins when all that is gone
    assert not [p for p in psutil.process_iter(["cmdline"]) if "98765" in (p.info["cmdline"] or [])]


def test_a_plugin_that_kills_the_server_harms_only_its_cell(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(PLUGIN.format(body="import os; os.kill(os.getppid(), 9); os._exit(1)"))
    with ForkServer() as fresh:
        failure = failure_of(fresh, job("memory", path))
        assert failure is not None
        assert failure.reason == "crashed"
        assert failure_of(fresh, job("latency")) is None


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "from effattn_cli.run.fork_server import *; s = ForkServer();"
        "print(s.run(Job(name='nothing')).answers[0]['pid'], s._ready['real'].pid, flush=True);"
        "s.run(Job(name='sleep', timeout=60))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    first, server = map(int, parent.stdout.readline().split())
    # Both waits together; the first job's process may still be on its way out.
    deadline, children = time.monotonic() + 20, [first]
    while not children or first in children:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        children = [child.pid for child in psutil.Process(server).children()]
    pids = [server, *children]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while any(map(_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in pids if _alive(pid)]


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_fresh_process_each_time(server: ForkServer) -> None:
    pids = {server.run(Job(name="nothing")).answers[0]["pid"] for _ in range(5)}
    assert len(pids) == 5
    assert os.getpid() not in pids


def test_what_was_used_of_a_feed_forward_reaches_the_record(server: ForkServer) -> None:
    cell = Cell(variant="gshard", seq=64, dim=64, heads=2, scope="block")
    payload = {"cell": asdict(cell), "path": None, "sampling": SAMPLING, "expected": None}
    (told,) = server.run(Job(name="memory", payload=payload)).answers
    record = results.visited(Record(cell=cell), told)
    assert record.usage is not None
    assert record.usage.total_parameters == 16 * (2 * 64 * 256 + 64)
    assert record.memory is not None
    assert record.memory.weight_bytes > 4 * record.usage.total_parameters


def test_a_server_that_is_still_loading_ends_with_its_parent() -> None:
    code = (
        "from effattn_cli.run import fork_server;"
        "print(fork_server._start('real').pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    while "torch" not in " ".join(item.path for item in psutil.Process(pid).memory_maps()):
        time.sleep(0.01)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 1
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(pid)
