"""How soon the command line answers, and what a cell costs beside its own work.

python benchmarks/startup.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from effattn_cli import store

EFFATTN = [sys.executable, "-m", "effattn_cli"]
RUNS = 15
CELLS = 100
PLUGIN = '''
from effattn_cli.attention import Attention, Card

class Nothing(Attention):
    """Gives the values back."""
    card = Card(title="Nothing", families=("own",), paper="", year=2026, time="N", memory="N",
                causal="never", kind="own mechanism")

    def attend(self, q_BHTK, k_BHTK, v_BHTK, real_BT=None):
        return v_BHTK
'''


def seconds(words: list[str], **variables: str) -> float:
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, env=os.environ | variables)
    return time.perf_counter() - start


def answers() -> None:
    completion = {"_EFFATTN_COMPLETE": "complete_bash", "COMP_WORDS": "effattn profile -v li"}
    asked: dict[str, tuple[list[str], dict[str, str]]] = {
        "effattn --help": ([*EFFATTN, "--help"], {}),
        "effattn profile --help": ([*EFFATTN, "profile", "--help"], {}),
        "effattn variants --names": ([*EFFATTN, "variants", "--names"], {}),
        "effattn variants": ([*EFFATTN, "variants"], {}),
        "completion of `-v li`": (["effattn"], completion | {"COMP_CWORD": "3"}),
        "python -c pass": ([sys.executable, "-c", "pass"], {}),
    }
    times: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(RUNS):
        for name, (words, variables) in asked.items():
            times[name].append(seconds(words, **variables))
    print(f"{'seconds, ' + str(RUNS) + ' runs interleaved':32} median    min    max")
    for name, found in times.items():
        print(f"{name:32} {median(found):6.3f} {min(found):6.3f} {max(found):6.3f}")


def sweep(cells: int) -> tuple[float, float]:
    """Seconds of a sweep of cells that do nothing, and how much of it was sampling."""
    with tempfile.TemporaryDirectory() as folder:
        plugin, out = Path(folder, "nothing.py"), Path(folder, "profile.yaml")
        plugin.write_text(PLUGIN)
        words = ["profile", "-v", "nothing", "--plugin", str(plugin), "--baseline", "none"]
        wall = seconds([*EFFATTN, *words, "-s", f"1..{cells}:+1", "-q", "-o", str(out)])
        rounds = [part for record in store.read(out).records for part in record.runs]
        return wall, sum(sum(part.samples) for part in rounds)


def overhead() -> None:
    few, many = (min(sweep(cells) for _ in range(3)) for cells in (2, CELLS))
    marginal = (many[0] - many[1] - few[0] + few[1]) / (CELLS - 2)
    print(f"\na sweep of {CELLS} cells of no work, 3 rounds each: {many[0]:.2f} s, of which")
    print(f"starting torch and the counter {few[0]:.2f} s; {1e3 * marginal:.0f} ms more a cell")


if __name__ == "__main__":
    answers()
    overhead()
