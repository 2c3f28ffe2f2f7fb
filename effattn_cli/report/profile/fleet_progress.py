"""What is told while a sweep runs on other machines, on stderr."""

import re
import time
from pathlib import Path

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from effattn_cli import store, units
from effattn_cli.errors import UsageError
from effattn_cli.records import Profile
from effattn_cli.report.live_lines import LiveLines

EVERY = 2.0  # seconds between two looks at a profile
NEEDED = ("note: ", "error: ", "hint: ")  # what is said although progress is not wanted
#: Of a file that is gone with the folder of the sweep; how to go on is said at the end, from here.
OF_NO_USE = re.compile("saved: |interrupted; |hint: effattn profile --resume ")


class FleetProgress(LiveLines):
    """A context manager: lines with the names of what measures; on a terminal, a bar of each."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        super().__init__(console, quiet=quiet)
        self._looked: dict[str, float] = {}
        self._done: dict[str, tuple[int, int]] = {}  # runs, and how many there will be

    def said(self, name: str, text: str) -> None:
        if OF_NO_USE.match(text) or (self._quiet and not text.startswith(NEEDED)):
            return
        self._console.print(Text(units.clean(f"[{name}] {text}")), soft_wrap=True)

    def grown(self, name: str, part: Path) -> None:
        now = time.monotonic()
        if self._live is None or now - self._looked.get(name, -EVERY) < EVERY:
            return
        self._looked[name] = now
        try:
            self._done[name] = runs(store.read(part))
        except UsageError:  # its heading is on the way
            return
        self._live.update(_bars(self._done), refresh=True)


def runs(profile: Profile) -> tuple[int, int]:
    """How many there are, and how many there will be; a cell that failed or is predicted needs no
    more.
    """
    rounds = profile.sampling.rounds
    needed = [
        len(record.runs) if record.failure or record.prediction else max(rounds, len(record.runs))
        for record in profile.records
    ]
    return sum(len(record.runs) for record in profile.records), sum(needed)


def _bars(done: dict[str, tuple[int, int]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, (taken, total) in done.items():
        bar = ProgressBar(
            total=max(total, 1), completed=taken, width=30,
            complete_style="cyan", finished_style="cyan",
        )  # fmt: skip
        table.add_row(units.clean(name), bar, f"{taken} of {units.number(total, 'run')}")
    return table
