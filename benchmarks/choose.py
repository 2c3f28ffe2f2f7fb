"""How often the choice is right: against brute force, and with every second length hidden.

    python benchmarks/choose.py [PROFILE...] [--budgets 1000] [--seed 0]

A budget is a length, and a latency and a memory around what the variants need there. With the
length's neighbours kept and the length itself hidden, the answer is interpolated; beyond the last
one, predicted: there it agrees if it names the right one, or says that it is tied with that.
Exits 1 where an answer on measured lengths differs from brute force, where fewer than 95 in 100
answers on hidden lengths agree with it, or where one claims certainty that the hidden truth does
not bear out.
"""

import argparse
import math
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from effattn_cli import library
from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.selection.candidates import Limit, Requirements, candidates
from effattn_cli.analysis.selection.ordering import Preference
from effattn_cli.analysis.selection.ranking import Choice, choose
from effattn_cli.analysis.series import by_setting
from effattn_cli.app.choosing import as_known_now
from effattn_cli.cards import Variant, replaces_attention
from effattn_cli.estimate import Estimate
from effattn_cli.metrics import LATENCY, MEMORY
from effattn_cli.records import Record, Roofline
from tests.analysis import grids

PREFERENCES: tuple[Preference, ...] = ("quality", "speed", "memory")
AGREEMENT = 0.95
SEEN = 16  # tokens, at least
SPREAD = 8.0  # a limit lies within this factor of what some variant needs


@dataclass(frozen=True)
class Budget:
    seq: int
    seconds: float
    size: float
    prefer: Preference


@dataclass(frozen=True)
class Grid:
    """Records of one setting, all measured."""

    name: str
    records: Sequence[Record]
    variants: Mapping[str, Variant]
    under: Roofline | None = None


@dataclass
class Score:
    """What became of the answers of one kind."""

    asked: int = 0
    agreed: int = 0
    fitted: int = 0  # recommendations
    kept: int = 0  # of them, those that in truth keep the budget
    certain: int = 0
    wrongly: int = 0  # certain, and the budget is broken in truth
    probabilities: list[float] = field(default_factory=list)


def budgets(records: Sequence[Record], number: int, dice: random.Random) -> Iterator[Budget]:
    valued = [r for r in records if r.runs and r.memory is not None and r.failure is None]
    for _ in range(number):
        near = dice.choice(valued)
        seconds, size = near.seconds or 0.0, near.peak_bytes or 1
        yield Budget(
            seq=near.cell.seq,
            seconds=seconds * SPREAD ** dice.uniform(-1, 1),
            size=max(1.0, size * SPREAD ** dice.uniform(-1, 1)),
            prefer=dice.choice(PREFERENCES),
        )


def brute_force(grid: Grid, budget: Budget) -> str | None:
    """The rules on measured values, written out once more: no code of `choose` takes part."""
    fits = []
    for record in grid.records:
        time, size = LATENCY.read(record), MEMORY.read(record)
        if record.cell.seq != budget.seq or time is None or size is None:
            continue
        if time.value <= budget.seconds and size.value <= budget.size:
            fits.append((_swap(grid.variants[record.cell.variant], record), time, size, record))
    exact = [each for each in fits if each[0].rank == (0,)]
    if budget.prefer == "quality":
        best = max((each[0].published for each in fits), default=0.0)
        scored = [each for each in fits if not 0 < each[0].published < best - 2]
        left = exact or scored
    else:
        index = 1 if budget.prefer == "speed" else 2
        end = min((each[index].high for each in fits), default=0.0)  # type: ignore[union-attr]
        left = [each for each in fits if each[index].low <= end]  # type: ignore[union-attr]

    def order(fit: tuple[Swap, Estimate, Estimate, Record]) -> tuple[object, ...]:
        swap, time, size, record = fit
        return swap.rank, time.value, size.value, record.cell.label

    return min(left, key=order)[3].cell.label if left else None


@dataclass(frozen=True)
class Swap:
    """What a variant takes, as it is sorted by, and its published score where that speaks of it."""

    rank: tuple[object, ...]
    published: float  # 0: none


def _swap(variant: Variant, record: Record) -> Swap:
    card, cell = variant.card, record.cell
    given, causal = cell.setting.kv_heads is not None, cell.setting.causal
    kind = variant.swap(cell.options, causal=causal, kv_heads=given)
    score = 0.0 if cell.options or causal or kind != "trained" else card.lra or 0.0
    new = not card.deployed
    ranks = {
        "exact": (0,),
        "lossy": (1, new, True),
        "trained": (2, bool(card.reach), new, not score),
    }
    return Swap(ranks[kind], score)


def answer(records: Sequence[Record], of: Grid, budget: Budget) -> Choice:
    limits = (
        Limit(metric=LATENCY, max=budget.seconds),
        Limit(metric=MEMORY, max=budget.size),
    )
    needs = Requirements(limits=limits, causal=of.records[0].cell.setting.causal)
    competing = candidates(records, needs, of.variants, under=of.under)
    return choose(competing, budget.seq, needs, budget.prefer)


def score(grid: Grid, shown: Sequence[Record], asked: Sequence[Budget]) -> Score:
    """Answers from `shown`, held against the truth in the grid."""
    score = Score()
    truth = {(r.cell.label, r.cell.seq): r for r in grid.records}
    for budget in asked:
        choice = answer(shown, grid, budget)
        best = choice.best
        score.asked += 1
        right = brute_force(grid, budget)
        tied = choice.tied if shown is not grid.records else frozenset()
        score.agreed += right in {best.label if best else None, *tied}
        if best is not None:
            score.fitted += 1
            score.probabilities.append(best.probability)
            score.kept += _keeps(truth[best.label, budget.seq], budget)
        for one in choice.evaluations:
            score.certain += one.certain
            score.wrongly += one.certain and not _keeps(truth[one.label, budget.seq], budget)
    return score


def _keeps(record: Record, budget: Budget) -> bool:
    time, size = record.seconds, record.peak_bytes
    state = record.memory.state_bytes if record.memory else 0
    return time is not None and size is not None and (
        time <= budget.seconds and size + state <= budget.size
    )  # fmt: skip


def hidden(records: Sequence[Record]) -> tuple[list[int], list[Record]]:
    """Every second length, and the records without it; the first and the last stay."""
    seqs = sorted({record.cell.seq for record in records})
    gone = seqs[1:-1:2]
    return gone, [record for record in records if record.cell.seq not in gone]


def cases(grid: Grid, args: argparse.Namespace) -> Iterator[tuple[str, Score]]:
    dice = random.Random(args.seed)
    seqs = sorted({record.cell.seq for record in grid.records})
    asked = list(budgets(grid.records, args.budgets, dice))
    yield f"{grid.name}, measured", score(grid, grid.records, asked)
    gone, shown = hidden(grid.records)
    away = [record for record in grid.records if record.cell.seq in gone]
    if away:
        asked = list(budgets(away, args.budgets, dice))
        yield f"{grid.name}, between", score(grid, shown, asked)
    if len(seqs) > 3:
        last = [record for record in grid.records if record.cell.seq == seqs[-1]]
        shorter = [record for record in grid.records if record.cell.seq != seqs[-1]]
        asked = list(budgets(last, args.budgets, dice))
        yield f"{grid.name}, beyond", score(grid, shorter, asked)


def competes(variant: Variant, record: Record) -> bool:
    """Whether it can take the place of attention, and a query sees more than a few tokens."""
    sees = variant.sees(record.cell.options)
    return replaces_attention(variant.card, causal=record.cell.setting.causal) and (
        sees is None or sees >= SEEN
    )


def grids_of(args: argparse.Namespace) -> Iterator[Grid]:
    yield Grid("synthetic", grids.grid(noise=0.05, seed=args.seed), grids.variants())
    for name in args.profiles:
        profile = as_known_now(library.read(name))
        variants = profile.variants
        for series in by_setting(r for r in profile.records if r.cell.setting.scope != "block"):
            records = [
                r
                for r in series.records
                if r.status == "measured"
                and r.memory is not None
                and competes(variants[r.cell.variant], r)
            ]
            lengths = {record.cell.seq for record in records}
            seen = Counter(record.cell.label for record in records)
            whole = [record for record in records if seen[record.cell.label] == len(lengths)]
            if whole:  # the truth has to be known at every length
                under = utilisation.of(series.setting, profile.rooflines)
                yield Grid(name[-24:], whole, variants, under)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profiles", nargs="*")
    parser.add_argument("--budgets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    titles = ("budgets", "agree", "picks", "kept", "chance", "sure", "wrong")
    print(f"{'case':34} " + " ".join(f"{title:>7}" for title in titles))
    good = True
    for grid in grids_of(args):
        for name, score in cases(grid, args):
            agreed, kept = score.agreed / score.asked, score.kept / max(1, score.fitted)
            chance = math.fsum(score.probabilities) / max(1, len(score.probabilities))
            print(
                f"{name:34} {score.asked:7} {agreed:7.1%} {score.fitted:7} {kept:7.1%}"
                f" {chance:7.1%} {score.certain:7} {score.wrongly:7}"
            )
            needed = {"measured": 1.0, "between": AGREEMENT}.get(name.rpartition(", ")[2], 0.0)
            good = good and agreed >= needed and score.wrongly == 0
    print("kept: picks that in truth keep the budget; chance: what was said of them, on average")
    print("sure: candidates said to fit for certain; wrong: of these, those that do not")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
