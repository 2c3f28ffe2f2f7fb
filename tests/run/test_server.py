"""Real processes: what a plugin may do to its own, and to no other."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from effattn_cli.records import Cell, Failure, Record, Sampling
from effattn_cli.run import outcome, results
from effattn_cli.run.fork_server import ForkServer
from effattn_cli.run.jobs import (
    Job,
    MeasureLatency,
    MeasureMemory,
    Nothing,
    Pid,
    Reply,
    Task,
    Timed,
    Watched,
)
from effattn_cli.setting import Setting

pytestmark = pytest.mark.xdist_group("server")
SAMPLING = Sampling(seconds=0.01, max_samples=8)
PLUGIN = '''
from effattn_cli.attention import Attention, Card

class Bad(Attention):
    """Does harm."""
    card = Card(title="Bad", families=("test",), paper="", year=2026, time="N", memory="N",
                causal="optional", kind="own mechanism")

    def attend(self, q, k, v, valid=None):
        {body}
        return v.clone()
'''


def test_this_file_has_one_worker(request: pytest.FixtureRequest) -> None:
    """Without groups every worker would make what costs seconds and is used by many tests."""
    assert "PYTEST_XDIST_WORKER" not in os.environ or request.node.nodeid.endswith("@server")


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer() as started:
        yield started


def watching(path: Path | None = None, **more: object) -> Job:
    """A memory pass of the plugin at `path`, or of a bundled variant."""
    request = MeasureMemory(task=task(path), sampling=SAMPLING)
    return Job(request=request, **more)  # type: ignore[arg-type]


def task(path: Path | None = None) -> Task:
    setting = Setting(dim=64, heads=2)
    cell = Cell(variant="bad" if path else "sdpa", seq=64, setting=setting)
    return Task(cell=cell, plugin=str(path) if path else None)


def failure_of(server: ForkServer, job: Job) -> Failure | None:
    kind = Watched if isinstance(job.request, MeasureMemory) else Timed
    told = outcome.answer(server.run(job), kind, job.timeout)
    return told if isinstance(told, Failure) else None


def pid_of(reply: Reply) -> int:
    told = outcome.decoded(reply.answers[0], Pid)
    assert isinstance(told, Pid)
    return told.pid


@pytest.mark.in_ci
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
    limit = 2.0 if reason == "timeout" else 60.0
    failure = failure_of(server, watching(path, timeout=limit, memory=4 << 30))
    assert failure is not None
    assert failure.reason == reason
    assert words in failure.message
    assert failure_of(server, watching()) is None  # the next cell is as if nothing had happened


def test_what_it_printed_last_is_kept_and_the_rest_is_not(
    server: ForkServer, tmp_path: Path
) -> None:
    path = tmp_path / "bad.py"
    path.write_text(PLUGIN.format(body="print('x' * 9_000_000); print('last'); raise OSError"))
    failure = failure_of(server, watching(path))
    assert failure is not None
    assert "last" in failure.output or any("OSError" in line for line in failure.output)
    assert sum(map(len, failure.output)) < 20_000


def test_what_it_leaves_running_is_ended(server: ForkServer, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    lines = (
        "import os, subprocess; p = subprocess.Popen(['sleep', '98765'], start_new_session=True)"
    )
    path.write_text(PLUGIN.format(body=lines))
    server.run(watching(path))
    server.run(Job(request=Nothing()))  # the next job begins when all that is gone
    assert not [p for p in psutil.process_iter(["cmdline"]) if "98765" in (p.info["cmdline"] or [])]


@pytest.mark.in_ci
def test_a_plugin_that_kills_the_server_harms_only_its_cell(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(PLUGIN.format(body="import os; os.kill(os.getppid(), 9); os._exit(1)"))
    with ForkServer() as fresh:
        failure = failure_of(fresh, watching(path))
        assert failure is not None
        assert failure.reason == "crashed"
        assert (
            failure_of(fresh, Job(request=MeasureLatency(task=task(), sampling=SAMPLING))) is None
        )


#: A parent in the middle of a real job: its plugin tells who runs it, and sleeps.
PARENT = """
import sys
from effattn_cli.records import Cell, Sampling
from effattn_cli.run.fork_server import ForkServer
from effattn_cli.run.jobs import Job, MeasureMemory, Task

task = Task(cell=Cell(variant="bad", seq=64), plugin=sys.argv[1])
with ForkServer() as server:
    server.run(Job(request=MeasureMemory(task=task, sampling=Sampling()), timeout=600))
"""


def test_nothing_is_left_when_the_parent_is_killed_in_mid_job(tmp_path: Path) -> None:
    plugin, pids = tmp_path / "bad.py", tmp_path / "pids"
    told = f"import os, pathlib; pathlib.Path({str(pids)!r}).write_text"
    told += "(f'{os.getpid()} {os.getppid()} done'); import time; time.sleep(600)"
    plugin.write_text(PLUGIN.format(body=told))
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(plugin)])
    deadline = time.monotonic() + 120
    while not pids.exists() or "done" not in pids.read_text():
        assert time.monotonic() < deadline
        assert parent.poll() is None
        time.sleep(0.02)
    worker, server = map(int, pids.read_text().split()[:2])
    assert _alive(worker)
    assert _alive(server)
    parent.kill()
    parent.wait()
    while _alive(worker) or _alive(server):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_fresh_process_each_time(server: ForkServer) -> None:
    pids = {pid_of(server.run(Job(request=Nothing()))) for _ in range(5)}
    assert len(pids) == 5
    assert os.getpid() not in pids


def test_what_was_used_of_a_feed_forward_reaches_the_record(server: ForkServer) -> None:
    cell = Cell(variant="gshard", seq=64, setting=Setting(dim=64, heads=2, scope="block"))
    job = Job(request=MeasureMemory(task=Task(cell=cell, plugin=None), sampling=SAMPLING))
    told = outcome.answer(server.run(job), Watched, job.timeout)
    record = results.watched(Record(cell=cell), told)
    assert record.usage is not None
    assert record.usage.total_parameters == 16 * (2 * 64 * 256 + 64)
    assert record.memory is not None
    assert record.memory.weight_bytes > 4 * record.usage.total_parameters


FORGED = [
    '{"memory": 3}',
    '{"memory": {"peak_bytes": -1, "input_bytes": 0, "weight_bytes": 0}}',
    '{"memory": null}',
    '{"problem": {"reason": "tired", "message": ""}}',
    '{"problem": 3}',
    '{"samples": []}',
    "{}",
    '{"a": ' * 100_000,
    "[1, 2]",
    "\\xff",
]


@pytest.mark.parametrize("line", FORGED)
def test_an_answer_that_is_forged_is_a_failed_cell(
    server: ForkServer, tmp_path: Path, line: str
) -> None:
    path = tmp_path / "bad.py"
    body = "import os\n        for fd in range(3, 64):\n            try: os.write(fd, DATA)\n"
    body += "            except OSError: pass"
    data = line.encode().decode("unicode_escape").encode("latin-1") + b"\n"
    path.write_text(PLUGIN.format(body=body.replace("DATA", repr(data))))
    failure = failure_of(server, watching(path, timeout=20.0))
    if line.startswith(("[", "\\", '{"a"')):  # no object in JSON is no answer at all
        assert failure is None
        return
    assert failure is not None
    assert failure.reason == "bad-answer"
    assert "no measurement" in failure.message
    assert failure_of(server, watching()) is None


def test_a_server_that_is_still_loading_ends_with_its_parent() -> None:
    code = (
        "from effattn_cli.run import fork_server;"
        "print(fork_server._Server.start('real', '').process.pid, flush=True); input()"
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
