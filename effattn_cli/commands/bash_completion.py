"""Completion in bash, where `:` and `=` end a word: `linformer:rank=64` are five of them.

The script that `--install-completion` writes hands over the words as bash has them. They are put
together again here, and of each answer bash gets what stands behind the last `:` or `=`: it keeps
what is before.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Sequence

from effattn_cli.errors import EffattnError

ASKED, WORDS, PLACE = "_EFFATTN_COMPLETE", "COMP_WORDS", "COMP_CWORD"
BREAKS = re.compile("[:=]+")


def is_asked() -> bool:
    return os.environ.get(ASKED) == "complete_bash"


def answer(command: Callable[[], object]) -> None:
    """Prints what the last word may go on to; `command` is the one that typer completes."""
    broken = os.environ.get(WORDS, "").split("\n")[: int(os.environ.get(PLACE, "0")) + 1]
    typed = joined(broken)
    os.environ |= {WORDS: "\n".join(typed), PLACE: str(len(typed) - 1)}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit, EffattnError):
        command()
    sys.stdout.writelines(f"{word}\n" for word in rests(printed.getvalue().splitlines(), typed[-1]))


def joined(broken: Sequence[str]) -> list[str]:
    """The words as they were typed."""
    typed: list[str] = []
    is_open = False  # whether what follows belongs to the word before
    for word in broken:
        breaks = BREAKS.fullmatch(word) is not None
        if typed and (breaks or is_open):
            typed[-1] += word
        else:
            typed.append(word)
        is_open = breaks
    return typed


def rests(words: Sequence[str], typed: str) -> list[str]:
    """What stands in the place of the last part of what was typed.

    The same word alone is how typer says that a file is wanted: bash completes files itself where
    it gets nothing.
    """
    if list(words) == [typed]:
        return []
    before = typed[: len(typed) - len(BREAKS.split(typed)[-1])]
    return [word.removeprefix(before) for word in words]
