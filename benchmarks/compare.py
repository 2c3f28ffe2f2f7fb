"""How often `effattn compare` is wrong, and what it finds, on sweeps whose truth is known.

    python benchmarks/compare.py --sweeps 40 --seed 0

A sweep has 50 cells, 5 variants at 10 lengths. Medians of processes differ by 4 to 9 % (CV), drawn
for each cell, as was measured; samples differ by 5 % within a process, and the fixed kernel by 4 %
from one to the next. What is printed: of cells that did not change, the share called faster or
slower; of cells that changed, the share found.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean

from msgspec.structs import replace

from effattn_cli.analysis.compare.comparison import Comparison, compare
from effattn_cli.cards import Card, Variant
from effattn_cli.machine import Machine
from effattn_cli.records import Cell, Profile, Record, Run, Sampling

VARIANTS = [f"v{number}" for number in range(5)]
CELLS = [Cell(variant=name, seq=2**power) for name in VARIANTS for power in range(9, 19)]
SAMPLES = 15
NEIGHBOUR = 1.4, 1.05  # how much slower the fixed kernel is beside one, and how much the cells are

Effect = Callable[[random.Random, int], float]  # of a round, by its number: a factor


def none(_: random.Random, __: int) -> float:
    return 1.0


def outliers(rng: random.Random, _: int) -> float:
    """One round in twenty was disturbed, and took up to three times as long."""
    return rng.uniform(1.1, 3) if rng.random() < 0.05 else 1.0


def heavy_tails(rng: random.Random, _: int) -> float:
    """Every tenth process is three times as far off as the others."""
    return rng.lognormvariate(0, 0.18) if rng.random() < 0.1 else 1.0


def drift(_: random.Random, number: int) -> float:
    """The machine gets 2 % slower from each round to the next."""
    return 1.02**number


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """How a synthetic profile comes about."""

    rounds: int = 3
    cv: tuple[float, float] = (0.04, 0.09)
    disturbed: Effect = none
    changed: float = 1.0  # the factor on every second length of every cell that may change
    machine: float = 1.0  # the factor on everything, the calibration kernel too
    beside: tuple[float, float] = (0.0, 0.0)  # shares of the visits beside a neighbour, old and new

    def profile(self, rng: random.Random, noise: dict[Cell, float], *, new: bool) -> Profile:
        records = []
        for index, cell in enumerate(CELLS):
            base = 1e-6 * cell.seq
            if new:
                base *= self.machine * (self.changed if index % 2 else 1.0)
            kernel = 1e-3 * (self.machine if new else 1.0)
            runs = []
            for number in range(self.rounds):
                slow, more = NEIGHBOUR if rng.random() < self.beside[new] else (1.0, 1.0)
                run = self._round(rng, base * more, noise[cell], number)
                runs.append(replace(run, calibration=kernel * slow * rng.lognormvariate(0, 0.04)))
            records.append(Record(cell=cell, runs=tuple(runs)))
        return _profile(records)

    def _round(self, rng: random.Random, base: float, cv: float, number: int) -> Run:
        middle = base * rng.lognormvariate(0, cv) * self.disturbed(rng, number)
        samples = tuple(middle * rng.lognormvariate(0, 0.05) for _ in range(SAMPLES))
        return Run(samples=samples, warmup=3, first_seconds=middle, stopped="steady")


def _profile(records: list[Record]) -> Profile:
    card = Card(title="V", families=("own",), paper="", year=2026, time="N", memory="N",
                causal="never", kind="own mechanism")  # fmt: skip
    machine = Machine(effattn="", python="", os="", torch="", torch_build="", cpu="", cores=2,
                      memory_bytes=2**34, load=0.0)  # fmt: skip
    variants = {
        name: Variant(name=name, summary="", card=card, decode=False, options=(), origin="",
                      path="", code="") for name in VARIANTS
    }  # fmt: skip
    return Profile(created="", command="", machine=machine, sampling=Sampling(), baseline=None,
                   variants=variants, records=tuple(records), finished=True)  # fmt: skip


def compared(sweep: Sweep, sweeps: int, seed: int, *, calibrated: bool) -> Iterator[Comparison]:
    rng = random.Random(seed)
    for _ in range(sweeps):
        noise = {cell: rng.uniform(*sweep.cv) for cell in CELLS}
        old = sweep.profile(rng, noise, new=False)
        new = sweep.profile(rng, noise, new=True)
        yield compare(old, new, calibration=lambda part: part.calibration if calibrated else None)


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What was called faster or slower, and what was called the same, in percent."""

    still: float  # of the cells that are as they were
    moved: float  # of the cells that changed
    means: float  # of the variants
    same: float  # of all cells


def shares(sweep: Sweep, sweeps: int, seed: int, *, calibrated: bool = False) -> Shares:
    still: list[bool] = []
    moved: list[bool] = []
    means: list[bool] = []
    same: list[bool] = []
    for comparison in compared(sweep, sweeps, seed, calibrated=calibrated):
        for index, pair in enumerate(comparison.pairs):
            verdict = pair.changes["latency"].verdict
            (moved if index % 2 else still).append(verdict in DIFFERENT)
            same.append(verdict == "same")
        means += [mean.changes["latency"].verdict in DIFFERENT for mean in comparison.means]
    return Shares(
        still=100 * fmean(still), moved=100 * fmean(moved), means=100 * fmean(means),
        same=100 * fmean(same),
    )  # fmt: skip


DIFFERENT = {"better", "worse"}
CVS = ((0.01, 0.01), (0.04, 0.04), (0.04, 0.09), (0.09, 0.09))
NOTHING = {
    "as measured": Sweep(),
    "CV 4 % everywhere": Sweep(cv=(0.04, 0.04)),
    "CV 9 % everywhere": Sweep(cv=(0.09, 0.09)),
    "a quiet machine, CV 1 %": Sweep(cv=(0.01, 0.01)),
    "outliers": Sweep(disturbed=outliers),
    "heavy tails": Sweep(disturbed=heavy_tails),
    "drift within both": Sweep(disturbed=drift),
    "two rounds": Sweep(rounds=2),
    "ten rounds": Sweep(rounds=10),
    "sixty rounds": Sweep(rounds=60),
    "machine 5 % slower": Sweep(machine=1.05),
    "machine 5 % slower, ten rounds": Sweep(machine=1.05, rounds=10),
    "a neighbour, more in the new": Sweep(beside=(0.3, 0.6)),
    "the same, CV 1 %": Sweep(beside=(0.3, 0.6), cv=(0.01, 0.01)),
}


def false_alarms(sweeps: int, seed: int) -> None:
    print(f"{'nothing changed: called faster or slower, %':46}  cells  variants  (called same)")
    for name, sweep in NOTHING.items():
        for calibrated in (False, True) if sweep.machine != 1 or any(sweep.beside) else (False,):
            rates = shares(sweep, sweeps, seed, calibrated=calibrated)
            words = f"{name}, calibrated" if calibrated else name
            cells = (rates.still + rates.moved) / 2
            print(f"{words:46} {cells:6.2f} {rates.means:9.2f} {rates.same:14.1f}", flush=True)


def power(sweeps: int, seed: int) -> None:
    print(
        f"\n{'every second cell changed: found, %':46}  5 %   10 %   20 %   50 %   (false, of 5 %)"
    )
    for low, high in CVS:
        for rounds in (3, 10, 30, 60):
            number = max(4, sweeps * 3 // rounds)
            rates = [
                shares(Sweep(rounds=rounds, cv=(low, high), changed=change), number, seed)
                for change in (1.05, 1.1, 1.2, 1.5)
            ]
            words = f"CV {100 * low:.0f} to {100 * high:.0f} %, {rounds} rounds"
            columns = " ".join(f"{each.moved:6.1f}" for each in rates)
            print(f"{words:43} {columns} {rates[0].still:13.2f}", flush=True)
    print(f"\n{'all 10 cells of a variant changed: found, %':46}  5 %   10 %")
    for rounds in (3, 10):
        rates = [shares(Sweep(rounds=rounds, machine=c), sweeps, seed) for c in (1.05, 1.1)]
        columns = " ".join(f"{each.means:6.1f}" for each in rates)
        print(f"{f'CV 4 to 9 %, {rounds} rounds':43} {columns}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sweeps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    false_alarms(asked.sweeps, asked.seed)
    power(asked.sweeps, asked.seed)


if __name__ == "__main__":
    main()
