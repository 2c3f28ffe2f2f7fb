"""The parent's end of the fork server: start it, send a job, wait asleep for the reply."""

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

import msgspec

from effattn_cli.engine_names import SCRATCH
from effattn_cli.errors import NothingMeasured
from effattn_cli.host import processes
from effattn_cli.run.jobs import CheckLaw, CountCost, Job, ListLaws, Reply

#: Requests that are answered on fake tensors.
ON_FAKE_TENSORS = (CountCost, CheckLaw, ListLaws)
GRACE = 10.0  # seconds beyond a job's limit after which the server itself is given up
#: What a server runs: with the parent's own path, so that no file of the present folder stands in
#: for a module, and an installed command does not measure with the code of a checkout around it.
PROGRAM = "import sys; sys.path[:] = {path!r}; from effattn_cli.run import server; server.run()"


class Launcher(Protocol):
    """Where the slow thing sits: tests put a fake in its place."""

    def run(self, job: Job) -> Reply: ...


class ForkServer:
    """Holds an imported torch and forks a fresh process for each job. A context manager.

    Jobs that count on fake tensors have a server of their own, which holds what these need: that
    is large, and every fork copies the page tables of all that is held.
    """

    def __init__(self) -> None:
        self._starting: dict[str, _Server] = {}
        self._ready: dict[str, _Server] = {}
        self._strangers: list[int] = []  # this process's children that are none of its servers
        self._scratch = tempfile.TemporaryDirectory(prefix="effattn-", ignore_cleanup_errors=True)

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
        for server in servers:  # all at once, then each is waited for
            server.input.close()
        for server in servers:
            server.end()
        self._starting.clear()
        self._ready.clear()
        processes.kill_children(spare=self._strangers)
        self._scratch.cleanup()

    def run(self, job: Job) -> Reply:
        """Runs `job` in a fresh process.

        Raises:
            NothingMeasured: the server cannot be started.
        """
        kind = "fake" if isinstance(job.request, ON_FAKE_TENSORS) else "real"
        server = self._server(kind)
        before = processes.children()
        try:
            server.input.write(msgspec.json.encode(job) + b"\n")
            server.input.flush()
            line = server.line(job.timeout + GRACE)
        except BrokenPipeError:
            line = b""
        if not line:  # the job took the server down with it; the next one gets a new server
            code = server.process.poll()
            self._ready.pop(kind).end()
            processes.kill_children(spare=before)
            return Reply(exit=-9 if code is None else code, output=("the measuring server died",))
        return msgspec.json.decode(line, type=Reply)

    def _server(self, kind: str) -> "_Server":
        if kind in self._ready:
            return self._ready[kind]
        wanted = {kind} if self._ready else {"real", "fake"}  # the other one is soon needed
        for missing in wanted - set(self._starting):
            self._starting[missing] = _Server.start(missing, self._scratch.name)
        server = self._starting.pop(kind)
        self._ready[kind] = server
        if server.line(300) != b'"ready"\n':
            why = server.last_words()
            self.close()
            message = f"the measuring process cannot start{f': {why}' if why else ''}"
            raise NothingMeasured(message, "does `import torch` work?")
        return server


@dataclass(frozen=True)
class _Server:
    """A process that forks one for each job, and the ends of its pipes."""

    process: "subprocess.Popen[bytes]"
    input: IO[bytes]
    output: IO[bytes]
    errors: IO[bytes]  # what it writes there; of interest where it cannot start

    @classmethod
    def start(cls, kind: str, scratch: str) -> "_Server":
        path = [entry or str(Path.cwd()) for entry in sys.path]
        errors = tempfile.TemporaryFile()  # noqa: SIM115  it is closed with the server
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM.format(path=path), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment() | {SCRATCH: scratch},
            start_new_session=True,  # Ctrl-C in the terminal reaches the parent only, which decides
        )
        assert process.stdin is not None
        assert process.stdout is not None
        return cls(process, process.stdin, process.stdout, errors)

    def line(self, seconds: float) -> bytes:
        """The next line of the server, or nothing if it ends or the time runs out."""
        deadline, line = time.monotonic() + seconds, b""
        while not line.endswith(b"\n"):
            left = max(0, deadline - time.monotonic())
            ready, _, _ = select.select([self.output], [], [], left)
            part = os.read(self.output.fileno(), 1 << 20) if ready else b""
            if not part:
                return b""
            line += part
        return line

    def last_words(self) -> str:
        """The last line that it wrote about what went wrong."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def end(self) -> None:
        self.input.close()
        try:
            self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()
        self.errors.close()


def _environment() -> dict[str, str]:
    return os.environ | {
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # asking for a GPU must not initialise CUDA
        "PYTHONSAFEPATH": "1",  # for what a job starts, torch's compiling processes among others
        "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "ignore"),
    }
