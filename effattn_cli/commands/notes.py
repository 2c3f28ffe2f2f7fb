"""Lines for people, on stderr: an answer on stdout stays what a program can read."""

import sys

from effattn_cli.units import clean


def note(text: str) -> None:
    print(f"note: {clean(text)}", file=sys.stderr)


def told(text: str) -> None:
    print(text, file=sys.stderr)


def progress(number: int, of: int, what: str = "") -> None:
    """Overwrites itself on a terminal, and is left out elsewhere."""
    if sys.stderr.isatty():
        text = f"{number} of {of}{f': {what}' if what else ''}"
        print(f"{text:60}", end="\r", file=sys.stderr, flush=True)
