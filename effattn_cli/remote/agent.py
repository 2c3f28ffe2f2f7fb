"""What runs on the other machine: a sweep in a folder of its own, told and handed over as it grows.

Nothing outlives whoever asked for it: as soon as that one is not there any more, the sweep is told
to save and end, and whatever is left of it after a while is killed.
"""

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from effattn_cli.remote.errands import Ended, Errand, Event, Grown, Line

Wanted = Callable[[], bool]  # whether anybody still waits for the sweep

POLL = 0.5  # seconds between two looks at the profile
GRACE = 20.0  # seconds for a sweep to save and end
#: With the path of this process: no file of the sweep's folder stands in for a module.
PROGRAM = (
    "import sys; sys.path[:] = {path!r}\n"
    "from effattn_cli.host import processes; processes.die_with_parent()\n"
    "from effattn_cli.cli import main; main()"
)
OWN_OPTIONS = "EFFATTN_PROFILE_"  # variables that stand for options of the command that is sent


def carry_out(errand: Errand, wanted: Wanted) -> Generator[Event, None, None]:
    """Runs the command of an errand, if need be after another one on this machine has ended."""
    with tempfile.TemporaryDirectory(prefix="effattn-") as name:
        folder = Path(name)
        for path, data in errand.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        lock = _MachineLock()
        try:
            if not lock.held():
                yield Line("waits for another sweep on this machine")
            while not lock.held():
                if not wanted():
                    yield Ended(-signal.SIGTERM)
                    return
                time.sleep(POLL)
            yield from _measured(errand, folder, wanted)
        finally:
            lock.release()


class _MachineLock:
    """Two sweeps at once would measure each other."""

    def __init__(self) -> None:
        import filelock  # noqa: PLC0415

        path = Path(tempfile.gettempdir()) / f"effattn-{os.getuid()}.lock"
        self._lock = filelock.FileLock(path, timeout=0)

    def held(self) -> bool:
        """Whether it is held by now."""
        import filelock  # noqa: PLC0415

        if not self._lock.is_locked:
            with suppress(filelock.Timeout):
                self._lock.acquire()
        return self._lock.is_locked

    def release(self) -> None:
        self._lock.release()


def _measured(errand: Errand, folder: Path, wanted: Wanted) -> Iterator[Event]:
    lines: queue.Queue[str] = queue.Queue()
    deadline = None
    with _process(errand, folder) as process, closing(_Growing(folder / errand.profile)) as profile:
        threading.Thread(target=_read, args=(process.stderr, lines), daemon=True).start()
        while True:
            try:
                yield Line(lines.get(timeout=POLL))
            except queue.Empty:
                if process.poll() is not None:
                    break
            yield from profile.grown()
            if deadline is None and not wanted():
                process.terminate()
                deadline = time.monotonic() + GRACE
            if deadline is not None and time.monotonic() > deadline:
                _kill(process)
        process.wait()
        yield from profile.grown()
        yield Ended(process.returncode)


@contextmanager
def _process(errand: Errand, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The command, in a process group of its own, of which nothing is left in the end."""
    path = [entry or str(Path.cwd()) for entry in sys.path]
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM.format(path=path), *errand.words],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith(OWN_OPTIONS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _kill(process)
        process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _read(stream: IO[bytes] | None, lines: "queue.Queue[str]") -> None:
    assert stream is not None
    with stream:
        for line in stream:
            lines.put(line.decode(errors="replace").rstrip())


class _Growing:
    """A file that is added to, and now and then replaced by a new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None  # kept open: its inode cannot become another file's
        self._sent = 0

    def grown(self) -> Iterator[Grown]:
        """What is new in it, if anything is."""
        with suppress(FileNotFoundError):
            if self._file is None or not os.path.samestat(
                os.fstat(self._file.fileno()), self._path.stat()
            ):
                there = self._path.open("rb")
                self.close()
                self._file, self._sent = there, 0
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._sent:  # the disk was full in mid record
            self._sent = 0
        self._file.seek(self._sent)
        data = self._file.read()
        if data:
            yield Grown(self._sent, data)
            self._sent += len(data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
