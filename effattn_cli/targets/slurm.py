"""Nodes of a Slurm cluster, by submitit: `slurm:partition=gpu,shards=8,time=240`.

An array of jobs, each a shard on a node of its own. What is said besides is handed to Slurm
(`account=`, `qos=`, `constraint=`), but for `cluster=local`, which runs the jobs here. Jobs and
this process meet in the sweep's folder, which every node has to see.
"""

import logging
import re
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from effattn_cli.errors import EffattnError, UsageError, unknown
from effattn_cli.remote import streams
from effattn_cli.remote.agent import carry_out
from effattn_cli.remote.errands import Ended, Errand, Event, Lost, Run
from effattn_cli.targets import needs, shard_names

POLL = 1.0  # seconds between two looks at what a job has written
ASKING = 20.0  # seconds between two questions to Slurm
LAG = 10.0  # seconds after a job's end in which a shared folder may still show more
MINUTES = 240
#: A job has a whole node, and runs in the batch step, which has all that the job has.
USUAL = {"slurm_exclusive": True, "slurm_use_srun": False}
LIVES = "lives"  # a file that is written again and again as long as somebody waits


def target(rest: str, folder: Path, shards: int | None) -> "Slurm":
    words = dict(_word(text) for text in rest.split(",") if text)
    cluster = words.pop("cluster", "slurm")
    if cluster not in {"slurm", "local"}:
        hint = "slurm, or local: on this machine"
        raise UsageError(f"--on slurm: unknown cluster {cluster[:60]!r}", hint)
    count = _whole_number("shards", words.pop("shards", "1"))
    minutes = _whole_number("time", words.pop("time", str(MINUTES)))
    names = shard_names(shards or count)
    options = {f"slurm_{name}": _plain(value) for name, value in words.items()}
    return Slurm(names, folder, cluster, USUAL | {"timeout_min": minutes} | options)


def _word(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise UsageError(f"--on slurm: cannot read {text[:60]!r}", "slurm:partition=gpu,shards=8")
    return name.replace("-", "_"), value


def _whole_number(name: str, text: str) -> int:
    if text.isdecimal() and 0 < int(text) <= 10_000:
        return int(text)
    raise UsageError(f"--on slurm: {name}={text[:60]} is no number of {name}", "1 or more")


def _plain(value: str) -> Any:
    return int(value) if value.isdecimal() else value


class Slurm:
    whole = False

    def __init__(
        self, names: tuple[str, ...], folder: Path, cluster: str, options: dict[str, Any]
    ) -> None:
        self.names = names
        self._folder = folder.absolute() / "slurm"
        self._cluster = cluster
        self._options = options
        with tempfile.TemporaryDirectory() as nothing_stays:
            self._executor(Path(nothing_stays))  # what is wrong shows before anything is done

    def _executor(self, folder: Path) -> Any:
        """What submits jobs, with the options checked.

        Raises:
            UsageError: submitit or Slurm is not here, or does not know an option.
        """
        try:
            import submitit  # noqa: PLC0415
        except ImportError as error:
            raise needs("submitit", "slurm") from error
        logging.getLogger("submitit").setLevel(logging.ERROR)  # of a Slurm without accounting
        try:
            executor = submitit.AutoExecutor(folder / "%j", cluster=self._cluster)
            executor.update_parameters(name="effattn", **self._options)
        except RuntimeError as error:
            why = "--on slurm: there is no Slurm here: no command srun"
            raise UsageError(why, "slurm:cluster=local runs the jobs on this machine") from error
        except NameError as error:
            raise _unknown_option(str(error)) from error
        return executor

    def places(self) -> Mapping[str, str]:
        where = "this machine" if self._cluster == "local" else "a whole node"
        return dict.fromkeys(self.names, f"{self._cluster} job, {where}")

    def start(self, errands: Mapping[str, Errand]) -> Mapping[str, Run]:
        folders = []
        for errand in errands.values():
            self._folder.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="job-", dir=self._folder))
            (folder / "errand").write_bytes(streams.line(errand))
            folders.append(folder)
        signs = [_Signs(folder / LIVES) for folder in folders]
        try:
            with _spared():
                jobs = self._executor(self._folder).map_array(_job, folders)
        except Exception as error:  # submitit has its own, and those of the commands that it runs
            raise EffattnError(f"--on slurm: cannot submit: {error}") from error
        runs = (_Job(*each) for each in zip(jobs, folders, signs, strict=True))
        return dict(zip(errands, runs, strict=True))


@contextmanager
def _spared() -> Iterator[None]:
    """What is started here does not hear of Ctrl-C in the terminal, for it is told to end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _job(folder: Path) -> None:
    """What a node runs."""
    errand = streams.errand((folder / "errand").read_bytes())
    there = _Watch(folder / LIVES).there
    with (folder / "events").open("ab") as file, closing(carry_out(errand, there)) as events:
        for event in events:
            file.write(streams.line(event))
            file.flush()


def _unknown_option(said: str) -> UsageError:
    """What submitit says of an option that it does not know."""
    name = re.findall("argument '(.*?)'", said)[0]
    valid = said.splitlines()[0].partition("Valid arguments: ")[2].split(", ")
    error = unknown("option", name, [*valid, "shards", "cluster"])
    return UsageError(f"--on slurm: {error}", error.hint)


class _Signs:
    """Signs of life in a file, until it is to end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._over = threading.Event()
        path.touch()
        threading.Thread(target=self._write, daemon=True).start()

    def _write(self) -> None:
        beat = 0
        while not self._over.wait(streams.BEAT):
            beat += 1
            self._path.write_text(str(beat))
        self._path.unlink(missing_ok=True)

    def end(self) -> None:
        self._over.set()


class _Watch:
    """Looks for signs of life; clocks of two machines are not compared."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = ""
        self._last = time.monotonic()

    def there(self) -> bool:
        try:
            beat = self._path.read_text()
        except OSError:
            return False
        if beat != self._seen:
            self._seen, self._last = beat, time.monotonic()
        return time.monotonic() - self._last < streams.SILENCE


class _Job:
    def __init__(self, job: Any, folder: Path, signs: _Signs) -> None:
        self._job = job
        self._path = folder / "events"
        self._signs = signs
        self._cancelled = False

    def events(self) -> Iterator[Event]:
        offset, asked = 0, time.monotonic()
        ended: float | None = None
        try:
            while ended is None or time.monotonic() - ended < LAG:
                if self._cancelled:
                    break
                now = time.monotonic()
                if ended is None and now - asked > ASKING:
                    asked, ended = now, now if self._job.done() else None
                for line in self._lines(offset):
                    offset += len(line)
                    event = streams.event(line)
                    if event is not None:
                        yield event
                    if isinstance(event, Ended):
                        self._wait()
                        return
                time.sleep(POLL)
            raise Lost(self._why())
        finally:
            self._signs.end()

    def _lines(self, offset: int) -> list[bytes]:
        """Those behind `offset` that are whole."""
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return [line for line in file.readlines() if line.endswith(b"\n")]
        except FileNotFoundError:  # it waits for a node
            return []

    def _wait(self) -> None:
        """Until submitit's own files are written."""
        deadline = time.monotonic() + LAG
        while not self._job.paths.result_pickle.exists() and time.monotonic() < deadline:
            time.sleep(POLL / 10)

    def _why(self) -> str:
        said = (self._job.stderr() or "").strip().splitlines()
        return f"job {self._job.job_id}: {self._job.state}{f': {said[-1]}' if said else ''}"

    def stop(self) -> None:
        self._signs.end()
        if not self._path.exists():  # it still waits for a node
            self._cancelled = True
            self._job.cancel(check=False)

    def abandon(self) -> None:
        self._signs.end()
        self._job.cancel(check=False)
