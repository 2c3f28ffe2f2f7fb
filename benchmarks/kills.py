"""Runs of the real command killed with SIGKILL at random moments, then resumed: what is lost.

    python benchmarks/kills.py --runs 200 --seed 0

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
from pathlib import Path

from effattn_cli import store
from effattn_cli.errors import EffattnError
from effattn_cli.records import Profile
from tests import rounds
from tests.marked import marking, running

ROUNDS = 10
CELLS = 4
SWEEP = (
    "profile -v linformer:rank=16 -s 64,128 --dim 64 --heads 2 --threads 1 --quiet"
    f" --rounds {ROUNDS} --precision 0.5 --out"
).split()
# Seconds after which a process of a killed run counts as left behind: on a busy machine some took
# more than 5 to end. How long the last one took is printed.
GRACE = 30.0

ENDING: list[float] = []  # seconds that the processes of each run took to end


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
    while (found := running(mark)) and time.monotonic() < begun + GRACE:
        time.sleep(0.05)
    ENDING.append(time.monotonic() - begun)
    return len(found)


def wait_for(path: Path, run: "subprocess.Popen[bytes]") -> None:
    while not path.exists() and run.poll() is None:
        time.sleep(0.005)


def killed(path: Path, seconds: float, *, measuring: bool) -> Counter[str]:
    """A run killed after `seconds`, or so long after its file appeared, and resumed: the counts."""
    mark = uuid.uuid4().hex
    run = start([*SWEEP, str(path)], mark)
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
    again = ["profile", "--resume", str(path), "--quiet"] if before else [*SWEEP, str(path)]
    code = start(again, mark).wait()
    counts["resumes that failed"] += code != 0
    counts["processes left"] += left(mark)
    if code == 0:
        counts += compared(before, store.read(path))
    counts["files beside it"] += len(list(path.parent.iterdir())) - path.exists()
    return counts


def compared(before: Profile | None, after: Profile) -> Counter[str]:
    """What a finished profile has too little or too much, and what of the earlier one it lost."""
    counts: Counter[str] = Counter({"whole profiles": int(after.finished)})
    kept = {record.cell: record for record in before.records} if before else {}
    counts["cells missing"] += CELLS - sum(record.status == "measured" for record in after.records)
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


def kills(runs: int, seed: int) -> Counter[str]:
    """Kills `runs` runs at random moments: half of them anywhere, half while they measure."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter(dict.fromkeys(ROWS, 0))
    with tempfile.TemporaryDirectory() as folder:
        path, started = Path(folder) / "whole.yaml", time.monotonic()
        run = start([*SWEEP, str(path)], "whole")
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
            counts += killed(own / "p.yaml", seconds, measuring=measuring)
    return counts


ROWS = (
    "runs", "profiles at the kill", "rounds kept", "whole profiles", "torn profiles",
    "resumes that failed", "cells measured twice", "cells missing", "processes left",
    "files beside it",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    counts = kills(asked.runs, asked.seed)
    for name in ROWS:
        print(f"{name:24}{counts[name]:>6}")
    print(f"the last process ended after at most {max(ENDING):.1f} s")
    lost = any(counts[name] for name in ROWS[4:])
    sys.exit(1 if lost or counts["whole profiles"] < asked.runs else 0)


if __name__ == "__main__":
    main()
