"""How often `effattn compare` is right about real sweeps: the same code twice, and slowed code.

    python benchmarks/trials.py                          # two sweeps of the same 40 cells
    python benchmarks/trials.py --slower 1.10            # ten pairs, the second one slowed
    python benchmarks/trials.py --slower 1.05 --precise
    python benchmarks/trials.py --slower 1.05 --precise --together   # both in one sweep

The slowed variant is exact attention that then keeps the processor busy for a share of the time
that it took. It is found where `compare` calls the variant's mean slower.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from effattn_cli import store
from effattn_cli.analysis.compare.comparison import Comparison, compare
from effattn_cli.analysis.compare.pairing import paired

TWICE = ["-v", "sdpa,linformer,sliding-window,longformer,performer,reformer",
         "-v", "nystromformer,set-transformer", "-s", "256..4k", "--baseline", "none"]  # fmt: skip
SEQ = "256,512,1k,1448,2k"
Trial = Callable[[Path, int, float, list[str]], Comparison]
PLUGIN = """
import time

from torch.nn.functional import scaled_dot_product_attention

from effattn_cli.attention import Card, variant

@variant(card=Card(title="Subject", families=("exact",), paper="", year=2026, time="N^2",
                   memory="N", causal="never", kind="exact", padding=False))
def {name}(q, k, v):
    "Exact attention, slowed."
    begun = time.perf_counter()
    out = scaled_dot_product_attention(q, k, v)
    end = begun + {times} * (time.perf_counter() - begun)
    while time.perf_counter() < end:
        pass
    return out
"""


def swept(folder: Path, name: str, words: list[str]) -> Path:
    """The profile of a sweep by the real command; one that is there already stays."""
    path = folder / f"{name}.yaml"
    if path.exists():
        return path
    command = [sys.executable, "-m", "effattn_cli", "profile", "--quiet", *words, "-o", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def twice(folder: Path, more: list[str]) -> None:
    sides = [store.read(swept(folder, name, [*TWICE, *more])) for name in ("first", "second")]
    comparison = compare(*sides)
    verdicts = comparison.count("latency")
    total, wrong = sum(verdicts.values()), verdicts["worse"] + verdicts["better"]
    print(f"the same code twice, {total} cells: {wrong} called different ({wrong / total:.1%})")
    means = [mean.changes["latency"].verdict for mean in comparison.means]
    print(f"of {len(means)} means: {means.count('worse') + means.count('better')}")
    effect = comparison.minimum_detectable_effect
    print(f"between processes {comparison.spread:.1%}; a usual cell shows {effect:.0%}")


def plugin(folder: Path, name: str, times: float) -> Path:
    path = folder / f"{times:g}" / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(PLUGIN.format(times=times, name=name))
    return path


def apart(folder: Path, number: int, times: float, words: list[str]) -> Comparison:
    """One form after the other, as a change and what was before it."""
    sides = [
        swept(folder, f"{number}-{factor}",
              ["-v", "subject", "--plugin", str(plugin(folder, "subject", factor)), *words])
        for factor in (1.0, times)
    ]  # fmt: skip
    return compare(*map(store.read, sides))


def together(folder: Path, number: int, times: float, words: list[str]) -> Comparison:
    """Both forms in one sweep, which measures them in turn."""
    names = {"subject": 1.0, "slowed": times}
    plugins = [plugin(folder, name, each) for name, each in names.items()]
    both = [word for path in plugins for word in ("--plugin", str(path))]
    sweep = store.read(swept(folder, f"{number}-both", ["-v", ",".join(names), *both, *words]))
    return compare(*paired(sweep, sweep, ("subject", "slowed")))


def slowed(found_by: Trial, folder: Path, times: float, trials: int, more: list[str]) -> None:
    print(f"slowed {times:g} times  cells found  mean found")
    hits = 0
    for number in range(trials):
        comparison = found_by(folder, number, times, ["-s", SEQ, "--baseline", "none", *more])
        (mean,) = comparison.means
        change, cells = mean.changes["latency"], comparison.count("latency")
        hits += change.verdict == "worse"
        print(f"trial {number + 1:3}  {cells['worse']:7} of {sum(cells.values())}"
              f"  {change.verdict:>9} {change.ratio:.3f}", flush=True)  # fmt: skip
    print(f"found in {hits} of {trials}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slower", type=float)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--precise", action="store_true")
    parser.add_argument("--together", action="store_true", help="both in one sweep")
    parser.add_argument("--keep", metavar="FOLDER", help="for the profiles; again, to judge anew")
    asked = parser.parse_args()
    more = ["--precise"] if asked.precise else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(asked.keep or name)
        folder.mkdir(exist_ok=True)
        if asked.slower is None:
            twice(folder, more)
        else:
            found_by = together if asked.together else apart
            slowed(found_by, folder, asked.slower, asked.trials, more)


if __name__ == "__main__":
    main()
