"""Runs of the real command killed with SIGKILL at random moments, then resumed: what is lost.

    python benchmarks/kills.py --runs 200 --seed 0
    python benchmarks/kills.py --runs 20 --shards 8    # of a sweep, in turn; then they are merged

Exits 1 unless each profile is whole, no measurement is lost or made again, no process is left.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from effattn_cli import store
from effattn_cli.analysis.compare.merging import merge
from effattn_cli.catalog import Catalog
from effattn_cli.errors import EffattnError
from effattn_cli.plan.cells import plan
from effattn_cli.plan.request import merged, sampling
from effattn_cli.plan.shards import sharded
from effattn_cli.records import Profile
from tests import rounds
from tests.marked import marking, running

ROUNDS = 10
FLAGS = {
    "variant": "linformer:rank=16", "dim": "64", "heads": "2", "threads": "1",
    "rounds": ROUNDS, "precision": "0.5",
}  # fmt: skip
# Seconds after which a process of a killed run counts as left behind: on a busy machine some took
# more than 5 to end. How long the last one took is printed.
GRACE = 30.0

ENDING: list[float] = []  # seconds that the processes of each run took to end


@dataclass(frozen=True)
class Sweep:
    """What is run, and how many cells it has."""

    words: list[str]  # before the file
    cells: int


def sweeps(shards: int) -> list[Sweep]:
    """A sweep of 4 cells; or the shards of one that has a block for each of them."""
    flags = FLAGS | {"seq": f"64..{64 * shards}:+64" if shards else "64,128"}
    words = ["profile", "--quiet"]
    for name, value in flags.items():
        words += [f"--{name}", str(value)]
    whole = plan(request := merged(flags | {"variant": (flags["variant"],)}, {}), Catalog(), 1)
    if not shards:
        return [Sweep([*words, "--out"], len(whole.cells))]
    parts = [sharded(whole, (n, shards), sampling(request)) for n in range(1, shards + 1)]
    return [
        Sweep([*words, "--shard", f"{n}/{shards}", "--out"], len(part.cells))
        for n, part in enumerate(parts, 1)
    ]


def start(words: list[str], mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "effattn_cli", *words],
        env=marking(mark),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def left(mark: str) -> int:
    """Waits until every process of the run has ended, and gives how many do not."""
    begun = time.monotonic()
    while (alive := running(mark)) and time.monotonic() < begun + GRACE:
        time.sleep(0.05)
    ENDING.append(time.monotonic() - begun)
    return len(alive)


def wait_for(path: Path, run: "subprocess.Popen[bytes]") -> None:
    while not path.exists() and run.poll() is None:
        time.sleep(0.005)


def killed(sweep: Sweep, path: Path, seconds: float, *, measuring: bool) -> Counter[str]:
    """A run killed after `seconds`, or so long after its file appeared, and resumed: the counts."""
    mark = uuid.uuid4().hex
    run = start([*sweep.words, str(path)], mark)
    if measuring:
        wait_for(path, run)
    try:
        run.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
    counts = Counter({"processes left": left(mark)})
    before = None
    if path.exists():
        counts["profiles at the kill"] += 1
        try:
            before = store.read(path)
        except EffattnError as error:
            print(f"after {seconds:.3f} s: {error}", file=sys.stderr)
            counts["torn profiles"] += 1
    again = ["profile", "--resume", str(path), "--quiet"] if before else [*sweep.words, str(path)]
    code = start(again, mark).wait()
    counts["resumes that failed"] += code != 0
    counts["processes left"] += left(mark)
    if code == 0:
        counts += compared(before, store.read(path), sweep.cells)
    counts["files beside it"] += len(list(path.parent.iterdir())) - path.exists()
    return counts


def compared(before: Profile | None, after: Profile, cells: int) -> Counter[str]:
    """What a finished profile has too little or too much, and what of the earlier one it lost."""
    counts: Counter[str] = Counter({"whole profiles": int(after.finished)})
    kept = {record.cell: record for record in before.records} if before else {}
    counts["cells missing"] += cells - sum(record.status == "measured" for record in after.records)
    for record in after.records:
        counts["cells measured twice"] += len(record.runs) > ROUNDS
        counts["cells missing"] += len(record.runs) < ROUNDS
        earlier = kept.get(record.cell)
        if earlier is not None:
            same = rounds.kept(earlier.runs, record.runs)
            same = same and earlier.memory in (None, record.memory)
            counts["cells measured twice"] += not same
            counts["rounds kept"] += len(earlier.runs)
    return counts


def joined(paths: list[Path], cells: int) -> Counter[str]:
    """The shards of a sweep in one profile, and what it has too little or too much."""
    profile = merge([store.read(path) for path in paths], "")
    return compared(None, replace(profile, finished=True), cells)


def kills(runs: int, shards: int, seed: int) -> Counter[str]:
    """Kills `runs` runs at random moments: half of them anywhere, half while they measure. Of
    shards it takes one after the other.
    """
    every = sweeps(shards)
    rng = random.Random(seed)
    counts: Counter[str] = Counter(dict.fromkeys(ROWS, 0))
    with tempfile.TemporaryDirectory() as folder:
        path, started = Path(folder) / "whole.yaml", time.monotonic()
        run = start([*every[0].words, str(path)], "whole")
        wait_for(path, run)
        first = time.monotonic() - started
        code = run.wait()
        whole = time.monotonic() - started
        if code != 0:
            raise SystemExit("the sweep itself fails")
        for number in range(runs):
            own = Path(folder) / str(number)
            own.mkdir()
            measuring = number % 2 == 1
            seconds = rng.uniform(0, whole - first if measuring else whole)
            counts += Counter({"runs": 1})
            sweep = every[number % len(every)]
            counts += killed(sweep, own / "p.yaml", seconds, measuring=measuring)
        if shards and runs >= shards:
            parts = [Path(folder) / str(number) / "p.yaml" for number in range(shards)]
            outcomes = joined(parts, 2 * shards)
            del outcomes["whole profiles"]
            counts += outcomes
    return counts


ROWS = (
    "runs", "profiles at the kill", "rounds kept", "whole profiles", "torn profiles",
    "resumes that failed", "cells measured twice", "cells missing", "processes left",
    "files beside it",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--shards", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    counts = kills(asked.runs, asked.shards, asked.seed)
    for name in ROWS:
        print(f"{name:24}{counts[name]:>6}")
    print(f"the last process ended after at most {max(ENDING):.1f} s")
    lost = any(counts[name] for name in ROWS[4:])
    sys.exit(1 if lost or counts["whole profiles"] < asked.runs else 0)


if __name__ == "__main__":
    main()
