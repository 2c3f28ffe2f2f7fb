"""The parent's end of the fork server: start it, send a job, wait asleep for the reply."""

import os
import select
import subprocess
import sys
import time
from types import TracebackType
from typing import IO, Protocol

import msgspec

from effattn_cli.errors import NothingMeasured
from effattn_cli.host import processes
from effattn_cli.run.jobs import CheckLaw, CountCost, Job, ListLaws, Reply

#: Requests that are answered on fake tensors.
ON_FAKE_TENSORS = (CountCost, CheckLaw, ListLaws)
GRACE = 10.0  # seconds beyond a job's limit after which the server itself is given up


class Launcher(Protocol):
    """Where the slow thing sits: tests put a fake in its place."""

    def run(self, job: Job) -> Reply: ...


class ForkServer:
    """Holds an imported torch and forks a fresh process for each job. A context manager.

    Jobs that count on fake tensors have a server of their own, which holds what these need: that
    is large, and every fork copies the page tables of all that is held.
    """

    def __init__(self) -> None:
        self._starting: dict[str, subprocess.Popen[bytes]] = {}
        self._ready: dict[str, subprocess.Popen[bytes]] = {}
        self._strangers: list[int] = []  # this process's children that are none of its servers

    def __enter__(self) -> "ForkServer":
        processes.adopt_orphans()  # of a server that a job takes down, or that has to be killed
        self._strangers = processes.children()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the servers; each takes its running job with it as soon as its input closes."""
        servers = [*self._starting.values(), *self._ready.values()]
        for process in servers:  # all at once, then each is waited for
            _stream(process.stdin).close()
        for process in servers:
            _end(process)
        self._starting.clear()
        self._ready.clear()
        processes.kill_children(spare=self._strangers)

    def run(self, job: Job) -> Reply:
        """Runs `job` in a fresh process.

        Raises:
            NothingMeasured: the server cannot be started.
        """
        kind = "fake" if isinstance(job.request, ON_FAKE_TENSORS) else "real"
        process = self._server(kind)
        before = processes.children()
        try:
            _stream(process.stdin).write(msgspec.json.encode(job) + b"\n")
            _stream(process.stdin).flush()
            line = _line(process, job.timeout + GRACE)
        except BrokenPipeError:
            line = b""
        if not line:  # the job took the server down with it; the next one gets a new server
            code = process.poll()
            _end(self._ready.pop(kind))
            processes.kill_children(spare=before)
            return Reply(exit=-9 if code is None else code, output=("the measuring server died",))
        return msgspec.json.decode(line, type=Reply)

    def _server(self, kind: str) -> "subprocess.Popen[bytes]":
        if kind in self._ready:
            return self._ready[kind]
        wanted = {kind} if self._ready else {"real", "fake"}  # the other one is soon needed
        for each in wanted - set(self._starting):
            self._starting[each] = _start(each)
        process = self._starting.pop(kind)
        self._ready[kind] = process
        if _line(process, 300) != b'"ready"\n':
            self.close()
            raise NothingMeasured("the measuring process cannot start", "does `import torch` work?")
        return process


def _start(kind: str) -> "subprocess.Popen[bytes]":
    environment = os.environ | {
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # asking for a GPU must not initialise CUDA
        "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "ignore"),
    }
    # A session of its own: Ctrl-C in the terminal reaches the parent only, which then decides.
    return subprocess.Popen(
        [sys.executable, "-m", "effattn_cli.run.server", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    _stream(process.stdin).close()
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _stream(process.stdout).close()


def _line(process: "subprocess.Popen[bytes]", seconds: float) -> bytes:
    """The next line of the server, or nothing if it ends or the time runs out."""
    stdout, deadline, line = _stream(process.stdout), time.monotonic() + seconds, b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([stdout], [], [], max(0, deadline - time.monotonic()))
        part = os.read(stdout.fileno(), 1 << 20) if ready else b""
        if not part:
            return b""
        line += part
    return line


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
