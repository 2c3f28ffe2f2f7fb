"""The command as a person types it: in this process, or in one of its own."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from msgspec.structs import replace

from effattn_cli import cli
from effattn_cli.analysis.cost import utilisation
from effattn_cli.records import Roofline
from effattn_cli.run import fork_server, kept_rooflines
from effattn_cli.run.fork_server import ForkServer, Launcher
from effattn_cli.run.jobs import Job, Reply
from effattn_cli.setting import Dtype

PLAIN = {"COLUMNS": "80", "NO_COLOR": "1"}
MODULE = [sys.executable, "-m", "effattn_cli"]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def effattn(*words: str, cwd: Path | None = None, **variables: str) -> Ended:
    """Runs the command in this process.

    Its measuring processes are forked from a server that all tests share, and the machine's
    roofline is a constant: each would take a command seconds.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        _surroundings(words, cwd, variables),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = cli._run(debug=False)
    return Ended(code, out.getvalue(), err.getvalue())


def alone(*words: str, cwd: Path | None = None, **variables: str) -> Ended:
    """Runs the command in a process of its own."""
    found = subprocess.run(
        [*MODULE, *words], cwd=cwd, env=os.environ | PLAIN | variables,
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return Ended(found.returncode, found.stdout, found.stderr)


@contextlib.contextmanager
def _surroundings(
    words: tuple[str, ...], cwd: Path | None, variables: dict[str, str]
) -> Iterator[None]:
    """What the command finds in place of a shell's, and what it changes put back."""
    argv, environment, handler = sys.argv, dict(os.environ), signal.getsignal(signal.SIGTERM)
    servers: Any = fork_server
    rooflines: Any = kept_rooflines
    server, roofline = servers.ForkServer, rooflines.measure
    sys.argv = ["effattn", *words]
    os.environ.update(PLAIN | variables)
    servers.ForkServer, rooflines.measure = _Shared, _a_roofline
    try:
        with contextlib.chdir(cwd or Path.cwd()):
            yield
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
        signal.signal(signal.SIGTERM, handler)
        servers.ForkServer, rooflines.measure = server, roofline


def a_roofline(device: str, dtype: Dtype, threads: int) -> Roofline:
    """One that nobody measured."""
    return replace(utilisation.ANY, device=device, dtype=dtype, threads=threads)


def _a_roofline(_: Launcher, device: str, dtype: Dtype, threads: int) -> tuple[Roofline, ...]:
    return (a_roofline(device, dtype, threads),)


@cache
def server() -> ForkServer:
    """The one of this process; `end` ends it."""
    return ForkServer().__enter__()


def end() -> None:
    if server.cache_info().currsize:
        server().close()
        server.cache_clear()


class _Shared:
    """Stands in for a fork server that a command would start, and end."""

    def __enter__(self) -> "_Shared":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def run(self, job: Job) -> Reply:
        return server().run(job)
