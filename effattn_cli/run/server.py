"""The fork server: imports torch once, then runs each job in a process forked from here.

Reads a job a line on stdin, writes a reply a line on stdout. It never runs an operator itself:
the thread pool of OpenMP does not survive a fork. When its stdin closes it kills the running job
and ends, so that nothing is left behind however the parent ends.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from effattn_cli.host import processes
from effattn_cli.run.jobs import Job, Reply

KEPT_OUTPUT = 16 << 10  # bytes of what a job prints
MAX_ANSWERS = 64 << 20  # bytes of what a job answers
#: What torch imports only when a job needs it, and then in each process again: half a second for a
#: gradient, two seconds for anything on fake tensors.
PRELOADED = {"real": "torch.fx.experimental.symbolic_shapes", "fake": "torch._dynamo"}
END = b"end\n"  # behind the last answer: what is left of the process is to take it down


def run() -> None:
    """What the parent starts."""
    with contextlib.suppress(BrokenPipeError):  # the parent is gone before it was ready
        _serve()


def _serve() -> None:
    processes.die_with_parent()  # nobody listens to the end of stdin while torch loads
    from effattn_cli.run import worker  # noqa: PLC0415

    replies = os.dup(1)
    os.dup2(2, 1)  # whatever prints on stdout from here on is no reply
    processes.adopt_orphans()
    importlib.import_module(PRELOADED[sys.argv[1]])
    worker.prepare()
    gc.collect()
    gc.freeze()
    processes.live_on()  # from here on this one first ends what it started
    _write(replies, b'"ready"\n')
    following = Child.fork(replies)
    for line in iter(sys.stdin.buffer.readline, b""):
        running = following
        _write(replies, _line(_reply(running, line)))
        # The parent works on the reply while the system takes down what it came from, and while
        # the process of the next job is made. That job waits until all else is gone.
        following = Child.fork(replies)
        processes.kill_descendants(running.pid, spare=[following.pid])
    processes.kill_descendants(following.pid)
    os._exit(0)  # to take torch down first would take a fifth of a second, and far more beside load


@dataclass(frozen=True)
class Child:
    """A process forked from here, that waits for its job."""

    pid: int
    job: int  # the ends of pipes that are left to the server
    answers: int
    output: int

    @classmethod
    def fork(cls, replies: int) -> "Child":
        (waiting, job), (answers, answering), (output, printed) = (os.pipe() for _ in range(3))
        pid = os.fork()
        if pid == 0:
            for fd in (replies, job, answers, output):
                os.close(fd)
            _child(waiting, answering, printed)
        for fd in (waiting, answering, printed):
            os.close(fd)
        return cls(pid, job, answers, output)


def _line(message: object) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _reply(child: Child, line: bytes) -> Reply:
    """The reply to a job; its process may not be gone yet."""
    killed = processes.killed_for_memory()
    with contextlib.suppress(BrokenPipeError), os.fdopen(child.job, "wb") as job:
        job.write(line)
    answers, output = child.answers, child.output
    timeout = msgspec.json.decode(line, type=Job).timeout
    code, texts = _watch(child.pid, answers, output, timeout)
    os.close(answers)
    os.close(output)
    lines = [line for line in texts[answers].split(b"\n") if line]
    return Reply(
        answers=tuple(msgspec.Raw(line) for line in lines if _is_whole(line)),
        exit=code,
        starved=code == -signal.SIGKILL and processes.killed_for_memory() > killed,
        output=tuple(texts[output].decode(errors="replace").splitlines()[-20:]),
    )


def _is_whole(line: bytes) -> bool:
    """Whether it is an object in JSON: the parent decodes what is in it."""
    with contextlib.suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return isinstance(msgspec.json.decode(line), dict)
    return False


def _child(waiting: int, answering: int, printed: int) -> NoReturn:
    """The forked process: nothing of the server's channels is left open in it."""
    from effattn_cli.run import worker  # noqa: PLC0415

    code = 1
    try:
        os.setsid()
        processes.die_with_parent()
        with os.fdopen(waiting, "rb") as asked:
            job = msgspec.json.decode(asked.read(), type=Job)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for fd, target in ((nothing, 0), (printed, 1), (printed, 2)):
            os.dup2(fd, target)
        if job.memory is not None:
            processes.limit_memory(job.memory)
        code = worker.run(job.request, lambda answer: _write(answering, _line(answer)))
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            if code == 0:
                _write(answering, END)
        os._exit(code)


def _watch(
    pid: int, answers: int, output: int, seconds: float
) -> tuple[int | None, dict[int, bytes]]:
    """Waits for the last answer or the end, sleeping; None for the exit code: the time ran out."""
    texts = {answers: b"", output: b""}
    deadline, code, ended = time.monotonic() + seconds, None, False
    exits = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    watched = [answers, output, 0, *([exits] if exits is not None else [])]
    while not ended and (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select(watched, [], [], left if exits is not None else min(left, 0.01))
        if 0 in ready:  # the parent sends nothing while a job runs: it is gone
            processes.kill_descendants(pid)
            os._exit(0)
        _drain([fd for fd in (answers, output) if fd in ready], texts, watched)
        if texts[answers].endswith(END):
            code, ended = 0, True
        elif (waited := os.waitpid(pid, os.WNOHANG))[0]:
            code, ended = os.waitstatus_to_exitcode(waited[1]), True
    if not texts[answers].endswith(END):  # nothing may print while the rest is read
        processes.kill_descendants(pid)
    _read_rest(texts)
    if exits is not None:
        os.close(exits)
    return code, texts


def _read_rest(texts: dict[int, bytes]) -> None:
    """What the pipes still hold: no more than one read gives, and something may go on printing."""
    for fd in texts:
        os.set_blocking(fd, False)
        with contextlib.suppress(BlockingIOError):
            texts[fd] += os.read(fd, 1 << 16)


def _drain(ready: list[int], texts: dict[int, bytes], watched: list[int]) -> None:
    answers = next(iter(texts))
    for fd in ready:
        part = os.read(fd, 1 << 16)
        if not part:
            watched.remove(fd)  # closed; without this, select would spin on it
        keep = MAX_ANSWERS if fd == answers else KEPT_OUTPUT
        texts[fd] = (texts[fd] + part)[-keep:]
