"""The console that answers are printed on."""

import os

from rich.console import Console

from effattn_cli.records import Profile

PIPED = 160  # columns of a file or a pipe: all of a table's, where nobody said how many there are


def stdout() -> Console:
    """As wide as the terminal, or as COLUMNS says."""
    console = Console()
    if console.is_terminal or os.environ.get("COLUMNS"):
        return console
    return Console(width=PIPED)


def print_profile(profile: Profile, console: Console | None = None) -> None:
    """Tables, then sentences, on stdout or on `console`."""
    from effattn_cli.report.profile import findings, tables  # noqa: PLC0415  # few commands need them

    console = console or stdout()
    if profile.models:
        from effattn_cli.report.model import time_view  # noqa: PLC0415

        console.print(time_view.shown(profile), highlight=False)
        return
    console.print(tables.tables(profile))
    console.print()
    for sentence in findings.sentences(profile):
        console.print(sentence, highlight=False, markup=False)
