"""Follows sweeps on other machines: their lines, their profiles as they grow, what is lost."""

import queue
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from effattn_cli import files, store
from effattn_cli.errors import Stopped, UsageError
from effattn_cli.remote.agent import GRACE
from effattn_cli.remote.errands import Ended, Errand, Event, Grown, Line, Lost, Run
from effattn_cli.targets import Target

Futures = Mapping[str, Future[int | None]]

PAUSES = (2.0, 10.0, 30.0)  # seconds before each new try
TRIES = len(PAUSES) + 1  # losses in a row between which nothing was measured, then it is given up
KILLED = 128 + signal.SIGKILL  # what a shell makes of it


class Watch(Protocol):
    """Whoever looks on."""

    def said(self, name: str, text: str) -> None:
        """What measures has said a line."""
        ...

    def grown(self, name: str, part: Path) -> None:
        """Its profile has."""
        ...


@dataclass(frozen=True)
class Worker:
    """What measures a profile: a host, or a shard."""

    name: str
    part: Path  # the profile, here
    errand: Callable[[], Errand]  # what is left to do


class Supervisor:
    """Has each worker's errand carried out, again and again until it is done."""

    def __init__(self, target: Target, workers: Mapping[str, Worker], watch: Watch) -> None:
        self._target = target
        self._workers = workers
        self._watch = watch
        self._news: queue.Queue[tuple[str, str | None]] = queue.Queue()  # None: a profile has grown
        self._stopping = threading.Event()
        self._runs: dict[str, Run] = {}

    def run(self) -> dict[str, int | None]:
        """The exit code of each worker; None of one that was given up.

        A KeyboardInterrupt ends what runs elsewhere, too, and then every code is that of a stop.
        """
        pool = ThreadPoolExecutor(len(self._workers))
        followed: dict[str, Future[int | None]] = {}
        try:
            self._runs |= self._target.start(
                {name: worker.errand() for name, worker in self._workers.items()}
            )
            for name, worker in self._workers.items():
                followed[name] = pool.submit(self._follow, worker)
            self._listen(followed)
        except KeyboardInterrupt:
            self._stop(followed)
        finally:
            self._stopping.set()
            for run in list(self._runs.values()):
                run.abandon()
            pool.shutdown()
        return {
            name: followed[name].result() if name in followed else Stopped.exit_code
            for name in self._workers
        }

    def _listen(self, followed: Futures, seconds: float | None = None) -> None:
        """Tells what is said until all are done, or the time is over."""
        waited = 0.0
        while seconds is None or waited < seconds:
            done = all(future.done() for future in followed.values())
            try:
                name, text = self._news.get(timeout=0.2)
            except queue.Empty:
                if done:
                    return
                waited += 0.2
                continue
            if text is None:
                self._watch.grown(name, self._workers[name].part)
            else:
                self._watch.said(name, text)

    def _stop(self, followed: Futures) -> None:
        """A second Ctrl-C does not wait for the last cells."""
        self._stopping.set()
        for run in list(self._runs.values()):
            run.stop()
        with suppress(KeyboardInterrupt):
            self._listen(followed, GRACE + 10)

    def _follow(self, worker: Worker) -> int | None:
        losses = 0
        while True:
            before = measured(worker.part)
            code, why = self._once(worker)
            if code is not None:
                return code
            if self._stopping.is_set():
                return Stopped.exit_code
            losses = 0 if measured(worker.part) > before else losses + 1
            if losses == TRIES:
                self._news.put((worker.name, f"error: {why}; given up after {TRIES} tries"))
                return None
            pause = PAUSES[losses - 1] if losses else PAUSES[0]
            self._news.put((worker.name, f"note: {why}; goes on in {pause:.0f} s"))
            self._stopping.wait(pause)

    def _once(self, worker: Worker) -> tuple[int | None, str]:
        """The exit code, if the command ended by itself; else what happened."""
        try:
            run = self._runs.pop(worker.name, None)
            if run is None:
                if self._stopping.is_set():
                    return Stopped.exit_code, ""
                started = self._target.start({worker.name: worker.errand()})
                run = started[worker.name]
            self._runs[worker.name] = run
            if self._stopping.is_set():
                run.stop()
            code = self._events(worker, run)
        except Lost as error:
            return None, f"lost: {error}"
        except UsageError as error:
            return None, str(error)
        finally:
            self._runs.pop(worker.name, None)
        if code < 0 or code == KILLED:
            return None, f"killed by signal {-code if code < 0 else signal.SIGKILL}"
        if code == Stopped.exit_code and not self._stopping.is_set():  # the time of a job is over
            return None, "it was stopped there"
        return code, ""

    def _events(self, worker: Worker, run: Run) -> int:
        for event in run.events():
            if isinstance(event, Ended):
                return event.code
            self._apply(worker, event)
        raise Lost("it ended without a word")

    def _apply(self, worker: Worker, event: Event) -> None:
        if isinstance(event, Grown):
            grow(worker.part, event)
            self._news.put((worker.name, None))
        elif isinstance(event, Line) and not self._stopping.is_set():  # how to go on is said here
            self._news.put((worker.name, event.text))


def grow(part: Path, event: Grown) -> None:
    """Brings a profile here to what it is there.

    Raises:
        CannotWrite: no space, say.
        Lost: something in between did not come.
    """
    if not event.start:
        files.replace(part, event.data)
        return
    if part.stat().st_size < event.start:
        raise Lost("a piece of the profile did not arrive")
    try:
        with part.open("r+b") as file:
            file.truncate(event.start)
            file.seek(event.start)
            file.write(event.data)
    except OSError as error:
        raise files.CannotWrite(f"cannot write {str(part)!r}: {error.strerror}") from error


def measured(part: Path) -> int:
    """How much a profile holds, as runs and cells that are done for; 0 where there is none yet."""
    try:
        records = store.read(part).records
    except UsageError:
        return 0
    return sum(len(record.runs) + (record.failure is not None) for record in records)
