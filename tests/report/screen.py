"""A terminal of a given width, without colour, that tests can read."""

import io

from rich.console import Console, RenderableType


def screen(shown: RenderableType, width: int = 80) -> str:
    """What stands on the screen, without blanks at the ends of lines."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())
