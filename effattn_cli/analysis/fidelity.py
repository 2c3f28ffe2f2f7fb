"""Which choices come near enough to exact attention, and what the cheapest of them is. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from effattn_cli.evaluation import Evidence, Fidelity
from effattn_cli.records import Cell
from effattn_cli.stats.student_t import t_ppf

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of samples, and the half width of its 95 % interval; None for a single sample."""

    value: float
    half: float | None

    @property
    def high(self) -> float:
        return self.value + (self.half or 0.0)


def mean(samples: Sequence[float]) -> Mean | None:
    """None where there are no samples."""
    if not samples:
        return None
    number = len(samples)
    if number == 1:
        return Mean(samples[0], None)
    half = t_ppf(1 - CONFIDENCE, number - 1) * stdev(samples) / math.sqrt(number)
    return Mean(fmean(samples), half)


def error(record: Evidence, regime: str) -> Mean | None:
    """The relative error of the output, mean over heads and draws; None where there is none."""
    measured = of_regime(record, regime)
    return None if measured is None else mean(measured.errors)


def groups(records: Iterable[Evidence]) -> dict[Cell, list[Evidence]]:
    """The evidence on fidelity that can be compared: of one length and setting, whose cell with no
    variant is the key.
    """
    grouped: dict[Cell, list[Evidence]] = {}
    for record in records:
        if record.fidelity:
            alike = Cell(variant="", seq=record.cell.seq, setting=record.cell.setting)
            grouped.setdefault(alike, []).append(record)
    return grouped


def regimes(records: Iterable[Evidence]) -> tuple[str, ...]:
    """All regimes that there are, in order."""
    return tuple(dict.fromkeys(one.regime for record in records for one in record.fidelity))


def of_regime(record: Evidence, regime: str) -> Fidelity | None:
    """What is known of a regime."""
    return next((one for one in record.fidelity if one.regime == regime), None)


@dataclass(frozen=True, slots=True)
class Nearness:
    """What is near enough, of the choices of one variant."""

    variant: str
    choices: int  # how many were compared
    near: Mapping[str, Evidence]  # by regime: the cheapest choice that is near enough there
    beyond: Mapping[str, tuple[Evidence, float]]  # the nearest choice where none is, and its error


def nearnesses(records: Iterable[Evidence], limit: float) -> list[Nearness]:
    """One for each variant; an interval's upper end is to be within the limit."""
    by_name: dict[str, list[Evidence]] = {}
    for record in records:
        by_name.setdefault(record.cell.variant, []).append(record)
    return [_nearness(name, several, limit) for name, several in by_name.items()]


def _nearness(name: str, records: list[Evidence], limit: float) -> Nearness:
    near: dict[str, Evidence] = {}
    beyond: dict[str, tuple[Evidence, float]] = {}
    for regime in regimes(records):
        pairs = [
            (record, mean_error)
            for record in records
            if (mean_error := error(record, regime)) is not None
        ]
        within = [record for record, mean_error in pairs if mean_error.high <= limit]
        if within:
            near[regime] = min(within, key=_price)
        elif pairs:
            record, mean_error = min(pairs, key=lambda pair: pair[1].value)
            beyond[regime] = record, mean_error.value
    return Nearness(name, len(records), near, beyond)


def _price(record: Evidence) -> float:
    return math.inf if record.cost is None else record.cost.flops
