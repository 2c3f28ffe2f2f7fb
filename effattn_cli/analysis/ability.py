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

    def mean(self, place: int) -> float:
        """Over the seeds, of the accuracy at the load in this place."""
        return fmean(run.accuracies[place] for run in self.runs)

    def spread(self, place: int) -> tuple[float, float]:
        """The worst and the best seed."""
        found = [run.accuracies[place] for run in self.runs]
        return min(found), max(found)

    @property
    def steps_to_90(self) -> float | None:
        """The median over the seeds; None unless all came so far."""
        found = [run.steps_to_90 for run in self.runs if run.steps_to_90 is not None]
        return median(found) if len(found) == len(self.runs) else None


def best(ability: Ability) -> Learned | None:
    """At the learning rate with the best mean over loads and seeds, of the rates that have the most
    seeds; None where no training came to its end.
    """
    found = _by_rate(ability)
    if not found:
        return None
    rate = max(found, key=lambda one: (len(found[one]), _mean(found[one])))
    return Learned(rate, tuple(found[rate]))


def rates(ability: Ability) -> dict[float, float]:
    """Mean accuracy over loads and seeds, at each learning rate that came to its end."""
    return {rate: _mean(runs) for rate, runs in sorted(_by_rate(ability).items())}


def _by_rate(ability: Ability) -> dict[float, list[Training]]:
    found: dict[float, list[Training]] = {}
    for run in ability.runs:
        if run.accuracies:
            found.setdefault(run.rate, []).append(run)
    return found


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
    for place, load in enumerate(ability.loads):
        if learned.spread(place)[0] < SURE:
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
    found: dict[tuple[str, Cell], list[Evidence]] = {}
    for record in records:
        cell = replace(record.cell, variant="", options={})
        cell = replace(cell, setting=replace(cell.setting, causal=True))
        for ability in record.ability:
            found.setdefault((ability.task, cell), []).append(record)
    return found
