"""What can go wrong, each with its exit code. Only `cli` turns an error into words on the screen.

EffattnError
├── UsageError        2  the user asked for something that does not exist or cannot be read
├── Unsupported       2  a variant cannot do what a cell asks; inside a sweep this is a failed cell
├── NothingMeasured   4  no cell could be run at all
└── Stopped         130  by the user; what was found out until then is saved
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

LONGEST = 600  # letters in a message
#: What the exit code of every command means.
EXIT_CODES: Mapping[int, str] = {
    0: "Done. A cell that is out of memory or unsupported is data.",
    1: "The answer is no: nothing fits, a law does not hold, a limit of `--fail-if` is broken or"
    " there was nothing to compare.",
    2: "Wrong usage: an option or a file cannot be read or does not exist.",
    3: "Done, but a cell failed unexpectedly.",
    4: "Nothing could be measured.",
    70: "A fault in effattn: `--debug` shows where.",
    130: "Stopped by Ctrl-C or SIGTERM; what was measured is saved.",
}
MANY = 20  # names that a hint does not list where a command does
LISTED = {
    "variant": "effattn variants lists them",
    "model": "effattn presets lists the known ones; or give a config.json",
}
NEAR = 0.6  # likeness from 0 to 1 of a word to the one that may have been meant


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


class Stopped(EffattnError):
    """Ctrl-C or SIGTERM ended a command; the hint says how to go on."""

    exit_code = 130


def unknown(
    what: str, value: str, valid: Iterable[str], synonyms: Mapping[str, str] | None = None
) -> UsageError:
    """An error for a name that is none of `valid`, with the nearest valid one as its hint.

    A word that is a name or one of `synonyms` but for its spelling leads to that, then the
    beginning of a name to the name, and then a word to the one that looks most like it.
    """
    names = sorted(valid)
    value = value if len(value) <= 60 else f"{value[:57]}..."
    by_spelling = {_bare(word): name for word, name in (synonyms or {}).items()}
    by_spelling |= {_bare(name): name for name in names}
    begun = [name for name in names if len(value) > 2 and name.startswith(value.lower())]
    likely = [*begun, *get_close_matches(value.lower(), names, 1, NEAR), None]
    near = by_spelling.get(_bare(value), likely[0])
    listed = LISTED.get(what) if len(names) > MANY else None
    listed = listed or f"valid: {', '.join(names)}"
    hint = f"did you mean {near!r}?" if near else listed
    return UsageError(f"unknown {what} {value!r}", hint)


def _bare(word: str) -> str:
    """The word by its letters and figures, without "attention" at its end."""
    return re.sub(r"[^a-z0-9+]|-?attention$", "", word.lower().replace("_", "-"))
