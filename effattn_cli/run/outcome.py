"""What a job's reply means: an answer, or a failure with its reason."""

import signal
from typing import Any

from effattn_cli.records import Failure
from effattn_cli.run.fork_server import Reply


def answer(reply: Reply, seconds: float) -> dict[str, Any] | Failure:
    """The job's first answer, or why there is none. `seconds` is the limit it ran under."""
    output = tuple(line for line in reply.output if not line.startswith("USDT:"))[-5:]
    if reply.answers:
        told = reply.answers[0]
        if "failure" not in told:
            return told
        # The exception's own line is the message; what was printed before it may explain it.
        found = told["failure"]
        return Failure(reason=found["reason"], message=found["message"], output=output)
    if reply.timed_out:
        return Failure(reason="timeout", message=f"no answer within {seconds:g} s", output=output)
    if reply.starved:
        message = "the machine ran out of memory, and the system killed the process"
        return Failure(reason="out-of-memory", message=message, output=output)
    return Failure(reason="crashed", message=_ending(reply.exit or 0), output=output)


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
