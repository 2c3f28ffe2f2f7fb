"""What can go wrong, each with its exit code. Only `cli` turns an error into words on the screen.

EffattnError
├── UsageError        2  the user asked for something that does not exist or cannot be read
├── Unsupported       2  a variant cannot do what a cell asks; inside a sweep this is a failed cell
└── NothingMeasured   4  no cell could be run at all
"""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 600  # letters in a message


class EffattnError(Exception):
    """An error with one line for the user and, where there is one, a hint that helps."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        if len(message) > LONGEST:  # it holds what somebody wrote, who may write a megabyte
            message = f"{message[: LONGEST - 100]} ... {message[-95:]}"
        super().__init__(message)
        self.hint = hint


class UsageError(EffattnError):
    exit_code = 2


class Unsupported(EffattnError):
    """The variant cannot do this: causal, a phase, a shape, a dtype."""

    exit_code = 2


class NothingMeasured(EffattnError):
    exit_code = 4


def unknown(what: str, value: str, valid: Iterable[str]) -> UsageError:
    """An error for a name that is none of `valid`, with the nearest valid one as its hint."""
    names = sorted(valid)
    value = value if len(value) <= 60 else f"{value[:57]}..."
    near = get_close_matches(value.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(names)}"
    return UsageError(f"unknown {what} {value!r}", hint)
