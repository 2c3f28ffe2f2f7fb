"""What a job's reply means: an answer of the type that was asked for, or a failure."""

import signal
from typing import TypeVar

import msgspec

from effattn_cli.records import Failure
from effattn_cli.run import jobs
from effattn_cli.run.jobs import Reply

T = TypeVar("T")


def answer(reply: Reply, kind: type[T], seconds: float) -> T | Failure:
    """The job's first answer, or why there is none. `seconds` is the limit it ran under."""
    output = tuple(line for line in reply.output if not line.startswith("USDT:"))[-5:]
    if reply.answers:
        value = decoded(reply.answers[0], kind)
        if isinstance(value, jobs.Problem):
            # The exception's own line is the message; what was printed before it may explain it.
            return Failure(reason=value.reason, message=value.message, output=output)
        return value
    if reply.timed_out:
        return Failure(reason="timeout", message=f"no answer within {seconds:g} s", output=output)
    if reply.starved:
        message = "the machine ran out of memory, and the system killed the process"
        return Failure(reason="out-of-memory", message=message, output=output)
    return Failure(reason="crashed", message=_ending(reply.exit or 0), output=output)


def decoded(raw: msgspec.Raw, kind: type[T]) -> T | jobs.Problem:
    """An answer; what is no such answer is a failure to give one."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        wrong = str(error)
    try:
        return msgspec.json.decode(raw, type=jobs.Refusal).problem
    except msgspec.DecodeError:
        message = f"its process answered with something that is no measurement: {wrong[:200]}"
        return jobs.Problem(reason="bad-answer", message=message)


def _ending(code: int) -> str:
    if code == 0:
        return "the process ended without an answer"
    if code > 0:
        return f"the process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    return f"the process was killed by signal {-code} ({name})"
