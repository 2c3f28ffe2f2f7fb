"""Whether a live `effattn crossover` finds what a dense grid finds, and in which share of its time.

    python benchmarks/crossover.py [--keep FOLDER]

Six variants against exact attention. The grid has four lengths to each doubling; then the search
measures the lengths that it needs, within three tenths of the grid's time. Both take six rounds: of
three, the grid's own answers moved by as much as the search may be off.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from effattn_cli import store
from effattn_cli.analysis.crossover.crossing import crossover
from effattn_cli.analysis.series import by_setting
from effattn_cli.metrics import LATENCY

NAMES = ("linformer", "sliding-window", "longformer", "performer", "nystromformer", "reformer")
SPAN = (256, 8192)
BUDGET = 0.3  # of the grid's time
ROUNDS = "6"
LENGTHS = sorted({round(SPAN[0] * 2 ** (step / 4)) for step in range(21)})


def run(command: str, path: Path, *words: str) -> float:
    """Seconds that the command took; its profile is at `path`."""
    begun = time.monotonic()
    sampling = ["--rounds", ROUNDS, "--quiet", "-o", str(path)]
    every = [command, "-v", ",".join(NAMES), *words, *sampling]
    subprocess.run(
        [sys.executable, "-m", "effattn_cli", *every], check=True, stdout=subprocess.DEVNULL
    )
    return time.monotonic() - begun


def crossings(path: Path) -> dict[str, float | None]:
    profile = store.read(path)
    (series,) = by_setting(profile.records)
    by_name = {name: crossover(series, name, profile.baseline or "", LATENCY) for name in NAMES}
    return {name: each.crossing.at if each else None for name, each in by_name.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", metavar="FOLDER", help="for the two profiles")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as name:
        folder = Path(keep or name)
        folder.mkdir(exist_ok=True)
        live, grid = folder / "live.yaml", folder / "grid.yaml"
        measuring = run("profile", grid, "-s", ",".join(map(str, LENGTHS)))
        budget = f"{BUDGET * measuring:.0f}s"
        within = ("-s", f"{SPAN[0]}..{SPAN[1]}", "--time-budget", budget, "--no-chart")
        searching = run("crossover", live, *within)
        searched, truth = crossings(live), crossings(grid)
        visited = len(store.read(live).records)
    print(f"{'':14} {'live':>6} {'grid':>6} {'off':>6}")
    for name in NAMES:
        mine, theirs = searched[name], truth[name]
        off = f"{mine / theirs - 1:+.1%}" if mine and theirs else ""
        print(f"{name:14} {_tokens(mine):>6} {_tokens(theirs):>6} {off:>6}")
    cells = len(LENGTHS) * (len(NAMES) + 1)
    print(f"live {searching:.0f} s, {visited} cells; grid {measuring:.0f} s, {cells} cells")
    print(f"share of the time {searching / measuring:.0%}")


def _tokens(length: float | None) -> str:
    return "none" if length is None else f"{length:.0f}"


if __name__ == "__main__":
    main()
