"""The parent's end of the fork server: start it, send a job, wait asleep for the reply."""

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Protocol

from effattn_cli.errors import NothingMeasured

GRACE = 10.0  # seconds beyond a job's limit after which the server itself is given up


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something for a fresh process to do; everything in it is plain JSON."""

    name: str
    payload: dict[str, Any] = field(default_factory=dict)
    timeout: float = 60.0  # seconds
    memory: int | None = None  # bytes that the process may allocate


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How a job ended, and the answers that it gave before it did."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    exit: int | None = None  # exit code, or -signal; None where the time ran out
    output: list[str] = field(default_factory=list)  # the last lines that it printed
    starved: bool = False  # the kernel ended it because the machine ran out of memory

    @property
    def timed_out(self) -> bool:
        return self.exit is None


class Launcher(Protocol):
    """Where the slow thing sits: tests put a fake in its place."""

    def run(self, job: Job) -> Reply: ...


class ForkServer:
    """Holds an imported torch and forks a fresh process for each job. A context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the server; it takes the running job with it as soon as its input closes."""
        process, self._process = self._process, None
        if process is None:
            return
        _stream(process.stdin).close()
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _stream(process.stdout).close()

    def run(self, job: Job) -> Reply:
        """Runs `job` in a fresh process.

        Raises:
            NothingMeasured: the server cannot be started.
        """
        process = self._process or self._start()
        request = vars(job) | {}
        try:
            _stream(process.stdin).write(json.dumps(request).encode() + b"\n")
            _stream(process.stdin).flush()
            line = self._line(process, job.timeout + GRACE)
        except BrokenPipeError:
            line = b""
        if not line:  # the job took the server down with it; the next one gets a new server
            code = process.poll()
            self.close()
            return Reply(exit=-9 if code is None else code, output=["the measuring server died"])
        return Reply(**json.loads(line))

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = os.environ | {
            "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # asking for a GPU must not initialise CUDA
            "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "ignore"),
        }
        # A session of its own: Ctrl-C in the terminal reaches the parent only, which then decides.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "effattn_cli.run.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        if self._line(self._process, 300) != b'"ready"\n':
            self.close()
            raise NothingMeasured("the measuring process cannot start", "does `import torch` work?")
        return self._process

    def _line(self, process: "subprocess.Popen[bytes]", seconds: float) -> bytes:
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
