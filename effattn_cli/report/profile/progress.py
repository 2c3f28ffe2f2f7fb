"""What is told while a sweep runs, on stderr. Nothing happens between the steps: a thread that
redraws the screen would take cores from the process that is being measured.
"""

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from effattn_cli import units
from effattn_cli.metrics import LATENCY, PEAK
from effattn_cli.records import Record
from effattn_cli.report import phrases
from effattn_cli.report.live_lines import LiveLines
from effattn_cli.run.events import RETRY, Step


class Progress(LiveLines):
    """A context manager called with each step: two live lines on a terminal, else a line a cell."""

    def __call__(self, step: Step) -> None:
        if self._live is not None:
            self._live.update(_status(step), refresh=True)
        elif step.settled:
            again = "measured again, the machine was slow: " if step.stage == RETRY else ""
            self.note(f"{again}{outcome(step.record)} ({step.done}/{step.total})")

    def note(self, text: str) -> None:
        """A line of its own, above the live ones."""
        if not self._quiet:
            self._console.print(Text(units.clean(text)), soft_wrap=True)


def outcome(record: Record) -> str:
    """`linformer seq 4k: 2.31 ms, 12.1 MiB`, or why there is no such thing."""
    if record.failure is not None:
        text = phrases.reason(record.failure)
    else:
        text = ", ".join(_values(record)) or "no result"
    return f"{units.clean(record.cell.label)} seq {units.length(record.cell.seq)}: {text}"


def _values(record: Record) -> list[str]:
    values = [phrases.value(record, LATENCY), phrases.value(record, PEAK)]
    if record.prediction is not None:
        values.append(f"predicted: {units.clean(record.prediction.why)}")
    elif busy := record.background_load:
        values.append(f"other processes kept {busy:.1f} cores busy")
    return [text for text in values if text]


def _status(step: Step) -> RenderableType:
    left = step.seconds_left
    line = Table.grid(padding=(0, 2))
    line.add_row(
        ProgressBar(
            total=max(step.total, 1),
            completed=step.done,
            width=30,
            complete_style="cyan",
            finished_style="cyan",
        ),
        f"{step.done}/{step.total}",
        "" if left is None else f"{units.duration(left)} left",
    )
    return Group(line, _current(step))


def _current(step: Step) -> Text:
    """The cell at hand, and what is known of it so far."""
    cell, seconds = step.record.cell, step.record.seconds
    text = Text(f"{units.clean(cell.label)}, {units.length(cell.seq)} tokens: {step.stage}")
    if seconds is not None:
        so_far = f"{phrases.value(step.record, LATENCY)} {phrases.plus_minus(step.record)}".rstrip()
        text.append(f"  {so_far} so far", "dim")
    return text
