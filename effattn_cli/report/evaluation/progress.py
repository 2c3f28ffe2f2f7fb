"""What is told while an evaluation runs, on stderr: a line for each job."""

from rich.console import Console
from rich.text import Text

from effattn_cli import units
from effattn_cli.report import phrases
from effattn_cli.run.evaluator import Done


def tell(done: Done, console: Console) -> None:
    """What was done, and how it failed if it did."""
    cell = done.step.cell
    text = f"{cell.label} seq {units.length(cell.seq)}, {done.step.what}"
    if done.failure is not None:
        text += f": {phrases.reason(done.failure)}"
    console.print(Text(f"{units.clean(text)} ({done.number}/{done.total})"), soft_wrap=True)
