"""What tiny models learned, put together from their trainings. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from msgspec.structs import replace

from effattn_cli.cards import Variant
from effattn_cli.evaluation import Ability, Evidence, Training
from effattn_cli.records import Cell

#: Options that say how many tokens a variant looks at, or keeps, at a time.
REACHES = (
    "window", "span", "chunk", "segment", "block", "block_size", "memory", "rank", "landmarks",
    "latents", "clusters", "top",
)  # fmt: skip
SURE = 0.9  # of the answers are right, at a load that counts as learned


@dataclass(frozen=True, slots=True)
class Learned:
    """The trainings at one learning rate, the one at which a task was learned best."""

    rate: float
    runs: tuple[Training, ...]  # one a seed

    def mean(self, index: int) -> float:
        """Over the seeds, of the accuracy at the load in this place."""
        return fmean(run.accuracies[index] for run in self.runs)

    def spread(self, index: int) -> tuple[float, float]:
        """The worst and the best seed."""
        accuracies = [run.accuracies[index] for run in self.runs]
        return min(accuracies), max(accuracies)

    @property
    def steps_to_90(self) -> float | None:
        """The median over the seeds; None unless all came so far."""
        steps = [run.steps_to_90 for run in self.runs if run.steps_to_90 is not None]
        return median(steps) if len(steps) == len(self.runs) else None


def best(ability: Ability) -> Learned | None:
    """At the learning rate with the best mean over loads and seeds, of the rates that have the most
    seeds; None where no training came to its end.
    """
    by_rate = _by_rate(ability)
    if not by_rate:
        return None
    rate = max(by_rate, key=lambda one: (len(by_rate[one]), _mean(by_rate[one])))
    return Learned(rate, tuple(by_rate[rate]))


def rates(ability: Ability) -> dict[float, float]:
    """Mean accuracy over loads and seeds, at each learning rate that came to its end."""
    return {rate: _mean(runs) for rate, runs in sorted(_by_rate(ability).items())}


def _by_rate(ability: Ability) -> dict[float, list[Training]]:
    by_rate: dict[float, list[Training]] = {}
    for run in ability.runs:
        if run.accuracies:
            by_rate.setdefault(run.rate, []).append(run)
    return by_rate


def _mean(runs: Sequence[Training]) -> float:
    return fmean(accuracy for run in runs for accuracy in run.accuracies)


def held(ability: Ability) -> int | None:
    """The largest load up to which every seed had nine answers of ten right at the best rate; 0:
    none; None where nothing is known.
    """
    learned = best(ability)
    if learned is None:
        return None
    largest = 0
    for index, load in enumerate(ability.loads):
        if learned.spread(index)[0] < SURE:
            break
        largest = load
    return largest


def untested(record: Evidence, variant: Variant) -> dict[str, int]:
    """The options, with their values, that limit nothing at this length: what a window of 512 does
    not see is not tested by 128 tokens.
    """
    values = {option.name: option.default for option in variant.options} | dict(record.cell.options)
    return {
        name: value
        for name, value in values.items()
        if name in REACHES and type(value) is int and value >= record.cell.seq
    }


def state_of_one(record: Evidence) -> int | None:
    """Bytes that decoding keeps of one sequence."""
    return None if record.state_bytes is None else record.state_bytes // record.cell.setting.batch


def groups(records: Iterable[Evidence]) -> dict[tuple[str, Cell], list[Evidence]]:
    """The evidence on abilities by task, and by length and widths, which a cell without a variant
    says. What has a mask and what has none stand side by side: the task is the same.
    """
    grouped: dict[tuple[str, Cell], list[Evidence]] = {}
    for record in records:
        cell = replace(record.cell, variant="", options={})
        cell = replace(cell, setting=replace(cell.setting, causal=True))
        for ability in record.ability:
            grouped.setdefault((ability.task, cell), []).append(record)
    return grouped
