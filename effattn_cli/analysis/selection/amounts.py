"""What a record says of time, memory and energy, and how well that is known."""

import math
from typing import Literal

from effattn_cli.analysis import reliability
from effattn_cli.analysis.crossover.crossing import LEAST, SAME_MEMORY, UNKNOWN, is_predicted
from effattn_cli.estimate import SIGMAS, Estimate
from effattn_cli.records import Record

Resource = Literal["latency", "memory", "energy"]

#: A peak that was not measured: counted, and what kernels take beyond that as it was elsewhere.
COUNTED_MEMORY = 0.1


def amount(record: Record, resource: Resource, share: float | None = None) -> Estimate | None:
    """The record's own value; of the latency the quantile `share`, or the median if it is None.

    Memory is the peak of a call beyond its inputs and weights, and the state that decoding keeps.
    """
    if record.failure is not None:
        return None
    if resource == "latency":
        return _latency(record) if share is None else _quantile(record, share)
    if resource == "memory":
        return _memory(record)
    return _around(record, record.joules, UNKNOWN, known=False)


def _latency(record: Record) -> Estimate | None:
    seconds, interval = record.seconds, reliability.interval(record)
    if seconds is None:
        return None
    if interval is None:
        return _around(record, seconds, UNKNOWN, known=False)
    if record.prediction is not None:
        source = record.prediction.anchor_seq
        return Estimate(
            value=seconds,
            low=min(max(interval[0], LEAST), seconds),
            high=max(interval[1], seconds),
            basis="predicted",
            sources=(source,),
        )
    return Estimate(
        value=seconds,
        low=interval[0],
        high=interval[1],
        basis="measured",
        sources=(record.cell.seq,),
        busy=reliability.foreign_load(record) is not None,
    )


def _memory(record: Record) -> Estimate | None:
    if record.memory is not None:
        size = record.memory.peak_bytes + record.memory.state_bytes
        return _around(record, max(size, 1), SAME_MEMORY)
    size = record.peak_bytes or 0
    if not size or record.prediction is None or record.cell.phase == "decode":
        return None  # a prediction does not know the state that decoding keeps
    return Estimate(
        value=size,
        low=size * (1 - COUNTED_MEMORY),
        high=size * (1 + COUNTED_MEMORY),
        basis="predicted",
        sources=(record.prediction.anchor_seq,),
    )


def _quantile(record: Record, share: float) -> Estimate | None:
    """From all samples; of too few the upper end cannot be known, and is said to be a guess."""
    samples = sorted(record.samples)
    if record.prediction is not None or not samples:
        return None
    number = len(samples)
    low, high = _ranks(number, share)
    value = samples[min(number, max(1, math.ceil(share * number))) - 1]
    beyond = high > number
    return Estimate(
        value=value,
        low=samples[max(low, 1) - 1],
        high=max(samples) * (1 + UNKNOWN) if beyond else samples[high - 1],
        basis="measured",
        sources=(record.cell.seq,),
        known=not beyond,
        busy=reliability.foreign_load(record) is not None,
    )


def _ranks(number: int, share: float) -> tuple[int, int]:
    """The ranks between which the quantile lies 19 times in 20; one beyond the last is unknown."""
    middle, spread = number * share, SIGMAS * math.sqrt(number * share * (1 - share))
    return math.floor(middle - spread), math.ceil(middle + spread) + 1


def _around(
    record: Record, value: float | None, share: float, *, known: bool = True
) -> Estimate | None:
    if value is None:
        return None
    return Estimate(
        value=value,
        low=value * (1 - share),
        high=value * (1 + share),
        basis="measured",
        sources=(record.cell.seq,),
        known=known,
    )


def has(record: Record, resource: Resource) -> bool:
    """Whether `amount` would find something, without the work of it."""
    if record.failure is not None:
        return False
    if resource == "latency":
        return bool(record.rounds) or record.prediction is not None
    if resource == "memory":
        return record.memory is not None or _memory(record) is not None
    return record.joules is not None


def is_measured(record: Record, resource: Resource) -> bool:
    """Whether what `amount` finds is a measurement."""
    return not is_predicted(record, resource)
