"""How soon the command line answers, and what a cell costs beside its own work.

python benchmarks/startup.py            # answers, answers on 2,000 cells, overhead of 100 cells
python benchmarks/startup.py --flat     # whether a cell of a sweep of 2,000 costs more: minutes
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from effattn_cli import store
from effattn_cli.records import Record
from tests.builders import a_cell, a_profile, measured

EFFATTN = [sys.executable, "-m", "effattn_cli"]
RUNS = 15
CELLS = 100
PLUGIN = '''
from dataclasses import dataclass

from effattn_cli.attention import Attention, Card

class Nothing(Attention):
    """Gives the values back."""
    card = Card(title="Nothing", families=("own",), paper="", year=2026, time="N", memory="N",
                causal="never", kind="own mechanism")

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        mark: int = 0

    def attend(self, q_BHTK, k_BHTK, v_BHTK, valid_BT=None):
        return v_BHTK
'''


def seconds(words: list[str], **variables: str) -> float:
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, env=os.environ | variables)
    return time.perf_counter() - start


def answers() -> None:
    completion = {"_EFFATTN_COMPLETE": "complete_bash", "COMP_WORDS": "effattn profile -v li"}
    asked: Asked = {
        "effattn --help": ([*EFFATTN, "--help"], {}),
        "effattn profile --help": ([*EFFATTN, "profile", "--help"], {}),
        "effattn variants --names": ([*EFFATTN, "variants", "--names"], {}),
        "effattn variants": ([*EFFATTN, "variants"], {}),
        "completion of `-v li`": (
            [str(Path(sys.executable).with_name("effattn"))],
            completion | {"COMP_CWORD": "3"},
        ),
        "python -c pass": ([sys.executable, "-c", "pass"], {}),
    }
    interleaved("seconds", asked)


Asked = dict[str, tuple[list[str], dict[str, str]]]


def interleaved(title: str, asked: Asked) -> None:
    """Each command in turn, and again; a line for each."""
    times: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(RUNS):
        for name, (words, variables) in asked.items():
            times[name].append(seconds(words, **variables))
    print(f"{title + ', ' + str(RUNS) + ' runs interleaved':32} median    min    max")
    for name, taken in times.items():
        print(f"{name:32} {median(taken):6.3f} {min(taken):6.3f} {max(taken):6.3f}")


def large(folder: Path) -> list[str]:
    """Two profiles of 2,000 cells, 40 variants at 50 lengths, three rounds each."""
    paths = []
    for number in (1, 2):
        dice = random.Random(number)
        names = ["sdpa", *(f"linformer:rank={rank}" for rank in range(1, 40))]
        lengths = [round(2 ** (7 + i / 6)) for i in range(50)]
        records = [a_record(name, seq, dice) for name in names for seq in lengths]
        path = folder / f"{number}.yaml"
        store.Writer(path).write(a_profile(*records))
        paths.append(str(path))
    return paths


def a_record(name: str, seq: int, dice: random.Random) -> Record:
    rank = name.partition("=")[2]
    usual = 1e-9 * seq * (4 * int(rank) if rank else seq)
    medians = [usual * dice.lognormvariate(0, 0.05) for _ in range(3)]
    return measured(a_cell(name, seq), medians, 1024 * seq, count=20)


def on_many_cells() -> None:
    with tempfile.TemporaryDirectory() as folder:
        old, new = large(Path(folder))
        asked: Asked = {
            "effattn show": ([*EFFATTN, "show", new], {}),
            "effattn choose": ([*EFFATTN, "choose", new, "--seq", "8k", "--latency", "50ms"], {}),
            "effattn crossover": ([*EFFATTN, "crossover", new], {}),
            "effattn compare": ([*EFFATTN, "compare", old, new], {}),
            "effattn export": ([*EFFATTN, "export", new, "--format", "csv"], {}),
            "effattn profiles": ([*EFFATTN, "profiles"], {"XDG_DATA_HOME": folder}),
        }
        print()
        interleaved("on 2,000 cells", asked)


def sweep(cells: int, rounds: int = 3) -> tuple[float, float]:
    """Seconds of a sweep of cells that do nothing, and how much of it was sampling."""
    with tempfile.TemporaryDirectory() as folder:
        plugin, out = Path(folder, "nothing.py"), Path(folder, "profile.yaml")
        plugin.write_text(PLUGIN)
        marks = ",".join(map(str, range(-(-cells // CELLS))))  # so that all cells are as small
        words = ["profile", "-v", f"nothing:mark={marks}", "--plugin", str(plugin)]
        words += ["--baseline", "none", "-s", f"1..{min(cells, CELLS)}:+1"]
        words += ["--rounds", str(rounds), "-q", "-o", str(out)]
        wall = seconds([*EFFATTN, *words])
        runs = [run for record in store.read(out).records for run in record.runs]
        return wall, sum(sum(run.samples) for run in runs)


def overhead() -> None:
    few, many = (min(sweep(cells) for _ in range(3)) for cells in (2, CELLS))
    marginal = (many[0] - many[1] - few[0] + few[1]) / (CELLS - 2)
    print(f"\na sweep of {CELLS} cells of no work, 3 rounds each: {many[0]:.2f} s, of which")
    print(f"starting torch and the counter {few[0]:.2f} s; {1e3 * marginal:.0f} ms more a cell")


def flat() -> None:
    """The cost of a cell by the size of the sweep, in turn: 2, 100, 2,000, 100, 2 cells."""
    taken = {cells: [sweep(cells, 1)] for cells in (2, 100, 2000)}
    for cells in (100, 2):
        taken[cells].append(sweep(cells, 1))
    own = {cells: min(wall - sampling for wall, sampling in runs) for cells, runs in taken.items()}
    for cells in (100, 2000):
        per_cell = (own[cells] - own[2]) / (cells - 2)
        print(f"a sweep of {cells} cells of no work, one round: {1e3 * per_cell:.1f} ms a cell")


if __name__ == "__main__":
    if "--flat" in sys.argv[1:]:
        flat()
    else:
        answers()
        on_many_cells()
        overhead()
