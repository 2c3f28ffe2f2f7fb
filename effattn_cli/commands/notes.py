"""Lines for people, on stderr: an answer on stdout stays what a program can read."""

import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from effattn_cli.units import clean

if TYPE_CHECKING:
    from effattn_cli.report.documents.outcomes import What


def note(text: str) -> None:
    told(f"note: {clean(text)}")


def told(text: str) -> None:
    """On a terminal words are not broken at its edge; elsewhere a line stays one."""
    if sys.stderr.isatty():
        text = filled(text, shutil.get_terminal_size().columns)
    print(text, file=sys.stderr)


def filled(text: str, width: int) -> str:
    """In lines of that width; a word that is longer stays whole."""
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def wrote(
    path: Path,
    what: "What",
    counts: Mapping[str, int] | None = None,
    following: tuple[str, ...] = (),
) -> None:
    """The document of a file that was written, on stdout, and of commands to go on with."""
    from effattn_cli.report.documents import kinds
    from effattn_cli.report.documents.outcomes import Saved

    print(kinds.text(Saved(path=str(path), what=what, counts=counts or {}, next=following)))


def progress(number: int, of: int, what: str = "") -> None:
    """Overwrites itself on a terminal, and is left out elsewhere."""
    if sys.stderr.isatty():
        text = f"{number} of {of}{f': {what}' if what else ''}"
        print(f"{text:60}", end="\r", file=sys.stderr, flush=True)
