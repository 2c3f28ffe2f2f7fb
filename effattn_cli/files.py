"""Files that are written whole or not at all, by one process at a time.

What only writing takes is imported there: every answer from a profile comes by here to read.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from effattn_cli.errors import EffattnError
from effattn_cli.evaluation import Evaluation
from effattn_cli.records import Profile


class CannotWrite(EffattnError):
    """A file cannot be written; an earlier one of that name is as it was."""

    exit_code = 2


class Busy(CannotWrite):
    """Another process is writing it."""


def replace(path: Path, data: bytes) -> None:
    """Writes `data` to a new file beside `path`, and puts it in its place in one step.

    Raises:
        CannotWrite: no space, no permission, no such folder; the earlier file is intact.
    """
    with _writing(path):
        _replace(path, data)


def _replace(path: Path, data: bytes) -> None:
    import tempfile  # noqa: PLC0415

    if path.is_dir():
        raise IsADirectoryError(21, "it is a folder")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        _sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Appender:
    """Adds to the end of a file, in steps of which each is there whole or not at all.

    A step has left this process when `add` returns: nothing is lost if the process is killed. The
    disk has it a second later at most, which is what a power cut can take.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.added = 0  # bytes
        self._synced = time.monotonic()
        with _writing(path):
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND)

    def add(self, data: bytes) -> None:
        """
        Raises:
            CannotWrite: no space, say; the file is as it was before this step.
        """
        before = os.fstat(self._handle).st_size
        with _writing(self._path):
            try:
                left = data
                while left:
                    left = left[os.write(self._handle, left) :]
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._handle, before)
                raise
        self.added += len(data)
        if time.monotonic() - self._synced > 1:
            self._sync()

    def _sync(self) -> None:
        with _writing(self._path):
            os.fsync(self._handle)
        self._synced = time.monotonic()

    def close(self) -> None:
        try:
            self._sync()
        finally:
            os.close(self._handle)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWrite(f"cannot write {str(path)!r}: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """After this the new name survives a power cut; not every system can do it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def data_folder() -> Path:
    """Where what is found out is kept; it may not be there yet."""
    import platformdirs  # noqa: PLC0415

    return platformdirs.user_data_path("effattn")


def saved_folder(of: str = "profiles") -> Path:
    """Where files are saved unless the user says where; it may not be there yet."""
    return data_folder() / of


def made(folder: Path) -> Path:
    """The folder, made if it was not there.

    Raises:
        CannotWrite: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error
    return folder


def _new_paths(document: Profile | Evaluation) -> Iterator[Path]:
    """Files in the user's data folder, named after the time, the variants and a number."""
    noun = type(document).__name__.lower()
    folder = made(saved_folder(f"{noun}s"))
    baseline = document.baseline if isinstance(document, Profile) else None
    names = "-".join(name for name in document.variants if name != baseline) or noun
    shard = document.shard if isinstance(document, Profile) else None
    part = f"-shard-{shard.number}-of-{shard.of}" if shard else ""
    stem = f"{document.created[:19].replace(':', '').replace('T', '-')}-{names[:60]}{part}"
    yield folder / f"{stem}.yaml"
    for number in count(2):
        yield folder / f"{stem}-{number}.yaml"


@contextmanager
def locked_new(document: Profile | Evaluation) -> Iterator[Path]:
    """A name in the user's data folder that no file has, held for this process alone.

    Raises:
        CannotWrite: there is no such folder, and it cannot be made.
    """
    for path in _new_paths(document):
        with ExitStack() as lock:
            try:
                lock.enter_context(locked(path))
            except Busy:
                continue
            if not path.exists():
                yield path
                return


def check(path: Path) -> None:
    """Whether a profile can be written to `path`, before any work is done for it.

    Raises:
        CannotWrite: it is a folder, or its own folder is missing or closed.
    """
    why = None
    if path.is_dir():
        why = "it is a folder"
    elif not path.parent.is_dir():
        why = f"there is no folder {str(path.parent)!r}"
    elif not os.access(path.parent, os.W_OK):
        why = f"the folder {str(path.parent)!r} cannot be written"
    if why is not None:
        raise CannotWrite(f"cannot write {str(path)!r}: {why}")


def _clear(path: Path) -> None:
    """Removes what a process that was killed while it wrote `path` has left beside it."""
    for part in path.parent.iterdir():
        if part.name.startswith(f".{path.name}.") and part.suffix == ".part":
            part.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[Path]:
    """Holds `path` for this process alone.

    Raises:
        Busy: another process is writing it.
        CannotWrite: its folder cannot be written.
    """
    import filelock  # noqa: PLC0415

    check(path)
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise Busy(f"cannot write {str(path)!r}: another process does") from error
    except OSError as error:
        raise CannotWrite(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    try:
        _clear(path)
        yield path
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
