"""Whether tiny models with known mixers learn the tasks in the known order.

    python -m benchmarks.abilities FILE
    python -m benchmarks.abilities ref:abilities --means

`FILE` is an evaluation of the variants below, with `--task recall,update,parity --seeds 3`. A task
is worth keeping if each order holds with every seed: of the mean over the loads, at the best rate.
With `--means`, one line for each mixer of any evaluation: the means over the seeds.
"""

import argparse
from collections.abc import Iterator, Mapping
from statistics import fmean

from effattn_cli import library, units
from effattn_cli.analysis import ability
from effattn_cli.evaluate.task_specs import TASKS
from effattn_cli.evaluation import Evaluation, Evidence

#: By task: pairs of which the first must not do worse than the second.
ORDERS = {
    "recall": [
        ("sdpa", "based"),
        ("based", "gated-deltanet"),
        ("gated-deltanet", "gla"),
        ("gated-deltanet", "linear-transformer"),
        ("gla", "linear-transformer"),
    ],
    "update": [("gated-deltanet", "gla"), ("deltanet", "gla")],
    "parity": [
        ("gated-deltanet:negative=True", "gated-deltanet"),
        ("gated-deltanet:negative=True", "gla"),
        ("gated-deltanet:negative=True", "sdpa"),
        ("deltanet:negative=True", "deltanet"),
    ],
}
ALIKE = 0.01  # means of accuracy that differ by less are equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--means", action="store_true")
    asked = parser.parse_args()
    evaluation = library.read_evaluation(asked.file)
    if asked.means:
        print("\n".join(_means(evaluation)))
        return
    for task in ORDERS:
        if records := _of(task, evaluation):
            print(f"\n{task}\n")
            print("\n".join(_table(task, records)))
            print()
            print("\n".join(_verdicts(task, records)))


def _of(task: str, evaluation: Evaluation) -> dict[str, Evidence]:
    """What was trained at least in part, by label."""
    records = {record.cell.label: record for record in evaluation.records}
    return {label: one for label, one in records.items() if _learned(task, one) is not None}


def _learned(task: str, record: Evidence) -> ability.Learned | None:
    trained = record.able(task)
    return None if trained is None else ability.best(trained)


def _means(evaluation: Evaluation) -> Iterator[str]:
    """The best in update come first, then those in parity."""
    tasks = [task for task in ("update", "parity") if _of(task, evaluation)]
    titles = (f"  {task}: {' '.join(f'{load:4}' for load in TASKS[task].loads)}" for task in tasks)
    yield f"{'':38}  state{''.join(titles)}"

    def shares(record: Evidence) -> list[list[float]]:
        learned = [_learned(task, record) for task in tasks]
        return [
            [one.mean(index) for index in range(len(TASKS[task].loads))] if one else []
            for task, one in zip(tasks, learned, strict=True)
        ]

    def merit(record: Evidence) -> list[float]:
        return [fmean(means) if means else 0.0 for means in shares(record)]

    for record in sorted(evaluation.records, key=merit, reverse=True):
        kept = ability.state_of_one(record)
        label = record.cell.label + ("" if record.cell.setting.causal else " (no mask)")
        line = f"{label:33} {'-' if kept is None else units.size(kept):>11}"
        for task, means in zip(tasks, shares(record), strict=True):
            empty = "     " * len(TASKS[task].loads)
            texts = "".join(f" {mean:4.2f}" for mean in means) or empty
            line += f"  {'':{len(task) + 1}}{texts}"
        yield line.rstrip()


def _table(task: str, records: Mapping[str, Evidence]) -> Iterator[str]:
    loads = TASKS[task].loads
    yield f"| variant | state | {' | '.join(map(str, loads))} | to 90 % | rate | seeds |"
    yield f"|---|---|{'---|' * len(loads)}---|---|---|"
    for label, record in records.items():
        learned = _learned(task, record)
        assert learned is not None
        kept = ability.state_of_one(record)
        shares = " | ".join(_share(learned, index) for index in range(len(loads)))
        steps = "-" if learned.steps_to_90 is None else f"{learned.steps_to_90:.0f}"
        state = "-" if kept is None else units.size(kept)
        rates = f"{learned.rate:g} | {len(learned.runs)}"
        yield f"| {label} | {state} | {shares} | {steps} | {rates} |"


def _share(learned: ability.Learned, index: int) -> str:
    low, high = learned.spread(index)
    return f"{learned.mean(index):.2f} ({low:.2f}-{high:.2f})"


def _verdicts(task: str, records: Mapping[str, Evidence]) -> Iterator[str]:
    for first, second in ORDERS[task]:
        if first in records and second in records:
            pair = [_by_seed(task, records[label]) for label in (first, second)]
            seeds = sorted(set(pair[0]) & set(pair[1]))
            holds = sum(pair[0][seed] >= pair[1][seed] - ALIKE for seed in seeds)
            yield f"{first} >= {second}: with {holds} seeds of {len(seeds)}"


def _by_seed(task: str, record: Evidence) -> dict[int, float]:
    """The mean accuracy over the loads, at the best rate."""
    learned = _learned(task, record)
    assert learned is not None
    return {run.seed: fmean(run.accuracies) for run in learned.runs}


if __name__ == "__main__":
    main()
