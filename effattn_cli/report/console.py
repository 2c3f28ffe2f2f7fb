"""The console that answers are printed on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from effattn_cli.analysis.completeness import lacks
from effattn_cli.records import Profile
from effattn_cli.report import colors

PIPED = 160  # columns of a file or a pipe: all of a table's, where nobody said how many there are


PAGER = "FRX"  # of `less`: leave what fits a screen, keep colours, clear nothing


def stdout() -> Console:
    """As wide as the terminal, or as COLUMNS says."""
    console = _console()
    if console.is_terminal or os.environ.get("COLUMNS"):
        return console
    return _console(width=PIPED)


def stderr(*, quiet: bool = False) -> Console:
    """For progress."""
    return _console(stderr=True, quiet=quiet)


def _console(**options: Any) -> Console:
    when = os.environ.get(colors.VARIABLE, "auto")
    if when == "always":
        options["no_color"] = False  # whatever NO_COLOR says
    return Console(color_system=colors.SYSTEMS.get(when, "auto"), **options)


@contextmanager
def paged(console: Console, *, pager: bool) -> Iterator[None]:
    """What is printed goes through the user's pager, if that is wanted and it is a terminal."""
    if not pager or not console.is_terminal or console.is_dumb_terminal:
        yield
        return
    os.environ.setdefault("LESS", PAGER)
    with console.pager(styles=console.color_system is not None):
        yield


def print_profile(profile: Profile, console: Console | None = None) -> None:
    """Tables, then sentences, on stdout or on `console`."""
    from effattn_cli.report import phrases  # noqa: PLC0415
    from effattn_cli.report.profile import findings, tables  # noqa: PLC0415  # few commands need them

    console = console or stdout()
    if profile.models:
        from effattn_cli.report.model import time_view  # noqa: PLC0415

        console.print(time_view.shown(profile), highlight=False)
        console.print(phrases.origin(profile), style="dim", highlight=False, markup=False)
        if missing := lacks(profile):
            console.print(missing, highlight=False, markup=False)
        return
    console.print(tables.tables(profile))
    console.print()
    for sentence in findings.sentences(profile):
        console.print(sentence, highlight=False, markup=False)
