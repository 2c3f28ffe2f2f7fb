"""The picture in the README: what `effattn show` prints of a saved profile, as rich exports it.

python benchmarks/screen.py profiles/NAME.yaml benchmarks/screen.svg
"""

import io
import sys
from pathlib import Path

from rich.console import Console

from effattn_cli import store
from effattn_cli.report.console import print_profile


def main() -> None:
    source, target = map(Path, sys.argv[1:3])
    profile = store.read(source)
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    console.print(f"[bold]$[/] {profile.command}\n", highlight=False)
    print_profile(profile, console)
    console.save_svg(str(target), title="effattn")


if __name__ == "__main__":
    main()
